import { describe, expect, it } from "vitest";
import { LATENCY_BOUNDS, quantile, Statistics, total, type Days, type Store } from "../src/stats";
import { drawStatistics } from "../src/statsDrawing";

function memory(): Store & { value: Days | undefined } {
  return {
    value: undefined,
    get() {
      return this.value;
    },
    async update(_key, value) {
      this.value = value;
    },
  };
}

describe("local statistics", () => {
  it("counts by day and survives a restart", async () => {
    const store = memory();
    const statistics = new Statistics(store, () => true, () => new Date("2026-03-01T10:00:00Z"));
    statistics.asked(120);
    statistics.asked(9_999);
    statistics.asked(undefined);
    statistics.count((day) => day.shown++);
    await statistics.flush();
    const again = new Statistics(store, () => true, () => new Date("2026-03-02T10:00:00Z"));
    again.count((day) => day.shown++);
    expect(Object.keys(again.read())).toEqual(["2026-03-01", "2026-03-02"]);
    expect(total(again.read())).toMatchObject({ requests: 3, shown: 2 });
    expect(total(again.read()).latency.at(-1)).toBe(1);
    expect(total(again.read()).latency.reduce((sum, count) => sum + count)).toBe(2);
    await again.flush();
  });
  it("counts nothing when switched off", () => {
    const statistics = new Statistics(memory(), () => false);
    statistics.asked(5);
    expect(statistics.read()).toEqual({});
  });
  it("deletes everything", async () => {
    const store = memory();
    const statistics = new Statistics(store, () => true);
    statistics.asked(5);
    await statistics.flush();
    await statistics.delete();
    expect(store.value).toBeUndefined();
    expect(statistics.read()).toEqual({});
  });
  it("forgets old days", async () => {
    const store = memory();
    let day = 0;
    const statistics = new Statistics(store, () => true, () => new Date(Date.UTC(2026, 0, 1 + day)));
    for (; day < 120; day++) statistics.asked(1);
    await statistics.flush();
    expect(Object.keys(store.value ?? {})).toHaveLength(90);
  });
  it("finds quantiles of the histogram", () => {
    const latency = new Array<number>(LATENCY_BOUNDS.length + 1).fill(0);
    expect(quantile(latency, 0.5)).toBeUndefined();
    latency[1] = 90;
    latency[6] = 10;
    expect([quantile(latency, 0.5), quantile(latency, 0.95)]).toEqual([LATENCY_BOUNDS[1], LATENCY_BOUNDS[6]]);
    latency[LATENCY_BOUNDS.length] = 1000;
    expect(quantile(latency, 0.95)).toBe(Infinity);
  });
  it("draws nothing and something", () => {
    expect(drawStatistics({})).toContain("Nothing has been counted yet");
    const statistics = new Statistics(memory(), () => true);
    statistics.asked(80);
    statistics.count((day) => {
      day.shown += 4;
      day.accepted += 1;
    });
    const page = drawStatistics(statistics.read());
    expect(page).toContain("<strong>25%</strong>");
    expect(page).not.toMatch(/\son\w+=|style=/);
  });
});
