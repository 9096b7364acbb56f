/** Which node an arrow key goes to. */

export type Direction = "left" | "right" | "up" | "down";

export interface Point {
  id: string;
  x: number;
  y: number;
}

/** The nearest point in `direction`; what is off to the side counts as farther. Undefined when there is none. */
export function nearest(points: readonly Point[], from: string, direction: Direction): string | undefined {
  const start = points.find((point) => point.id === from);
  if (!start) return undefined;
  let best: { id: string; cost: number } | undefined;
  for (const point of points) {
    const [dx, dy] = [point.x - start.x, point.y - start.y];
    const ahead = { left: -dx, right: dx, up: -dy, down: dy }[direction];
    const aside = Math.abs(direction === "left" || direction === "right" ? dy : dx);
    if (ahead <= 1) continue;
    const cost = ahead + 2 * aside;
    if (!best || cost < best.cost) best = { id: point.id, cost };
  }
  return best?.id;
}
