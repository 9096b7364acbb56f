/** The statistics as HTML: figures and two small charts in SVG, in the editor's colours. */

import { LATENCY_BOUNDS, quantile, total, type Day, type Days } from "./stats";

const DAYS_SHOWN = 30;

function share(part: number, whole: number): string {
  return whole === 0 ? "–" : `${Math.round((100 * part) / whole)}%`;
}

function milliseconds(bound: number | undefined): string {
  if (bound === undefined) return "–";
  return bound === Infinity ? `> ${LATENCY_BOUNDS.at(-1) ?? 0} ms` : `≤ ${bound} ms`;
}

function figure(value: string, label: string): string {
  return `<div class="figure"><strong>${value}</strong><span>${label}</span></div>`;
}

interface Bar {
  label: string;
  title: string;
  /** Heights of the bar behind and the one in front. */
  values: [number, number?];
}

function chart(name: string, bars: readonly Bar[], legend: string): string {
  const [width, height, top] = [640, 150, 16];
  const highest = Math.max(1, ...bars.map((bar) => bar.values[0]));
  const slot = width / Math.max(1, bars.length);
  const shapes = bars.map((bar, index) => {
    const rectangles = bar.values.map((value, layer) => {
      const tall = ((value ?? 0) / highest) * (height - top);
      const wide = Math.min(slot * 0.7, 48);
      const x = index * slot + (slot - wide) / 2;
      return `<rect class="layer${layer}" x="${x.toFixed(1)}" y="${(height - tall).toFixed(1)}" width="${wide.toFixed(1)}" height="${tall.toFixed(1)}" rx="2"/>`;
    });
    const label = bar.label ? `<text x="${(index * slot + slot / 2).toFixed(1)}" y="${height + 16}">${bar.label}</text>` : "";
    return `<g><title>${bar.title}</title>${rectangles.join("")}${label}</g>`;
  });
  return `<figure><figcaption>${name}</figcaption>
<svg viewBox="0 0 ${width} ${height + 24}" role="img" aria-label="${name}">
<line x1="0" y1="${height}" x2="${width}" y2="${height}"/><text class="scale" x="0" y="10">${highest}</text>${shapes.join("")}</svg>
<p class="legend">${legend}</p></figure>`;
}

export function drawStatistics(days: Days): string {
  const sum: Day = total(days);
  const taken = sum.accepted + sum.partly;
  const recent = Object.keys(days).sort().slice(-DAYS_SHOWN);
  const byDay: Bar[] = recent.map((key, index) => {
    const day = days[key];
    const [shown, accepted] = [day?.shown ?? 0, (day?.accepted ?? 0) + (day?.partly ?? 0)];
    const labelled = index === 0 || index === recent.length - 1 || recent.length <= 10;
    return { label: labelled ? key.slice(5) : "", title: `${key}: ${shown} shown, ${accepted} accepted`, values: [shown, accepted] };
  });
  const byLatency: Bar[] = sum.latency.map((count, index) => {
    const bound = LATENCY_BOUNDS[index];
    const label = bound === undefined ? "more" : String(bound);
    return { label, title: `${milliseconds(bound ?? Infinity)}: ${count}`, values: [count] };
  });
  const empty = sum.requests === 0 ? "<p>Nothing has been counted yet. Type some code.</p>" : "";
  return `<main><h1>Statistics</h1>
<p>Counted on this machine and kept on this machine. Nothing is sent anywhere.</p>${empty}
<section class="figures" aria-label="Figures">
${figure(String(sum.shown), "suggestions shown")}
${figure(String(taken), "accepted")}
${figure(share(taken, sum.shown), "of those shown were accepted")}
${figure(share(sum.retained, sum.checked), "of those accepted were still there after 30 s")}
${figure(String(sum.acceptedCharacters), "characters not typed")}
${figure(milliseconds(quantile(sum.latency, 0.5)), "half of the suggestions")}
${figure(milliseconds(quantile(sum.latency, 0.95)), "95% of the suggestions")}
</section>
${byDay.length > 0 ? chart("Suggestions by day", byDay, '<span class="key layer0"></span> shown <span class="key layer1"></span> accepted') : ""}
${chart("Time to a suggestion, in milliseconds", byLatency, "requests that brought one; the others end sooner")}
<p><button id="refresh">Refresh</button> <button id="delete" class="secondary">Delete statistics…</button></p></main>`;
}
