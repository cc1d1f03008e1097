/** Photos in rows of one width and nearly one height, in one pass. */

export interface Rows {
  readonly count: number;
  /** The first photo of each row; one more than there are rows. */
  readonly first: Int32Array;
  /** The upper edge of each row in pixels; one more than there are rows. */
  readonly top: Float64Array;
  readonly height: Float64Array;
  readonly gap: number;
  readonly total: number;
}

/** Aspects are width / height in hundredths; very long ones are shown cut. */
export const shownAspect = (hundredths: number) => Math.min(Math.max(hundredths / 100, 0.45), 3.2);

/** In front of the photo `parted` a row ends, and so many pixels more are left free. */
export function justify(aspects: ArrayLike<number>, width: number, target: number, gap: number, parted = 0, room = 0): Rows {
  const count = aspects.length;
  const first = new Int32Array(count + 1);
  const top = new Float64Array(count + 1);
  const height = new Float64Array(count);
  let rows = 0;
  let down = 0;
  let start = 0;
  let sum = 0;
  const close = (end: number, high: number) => {
    first[rows] = start;
    top[rows] = down;
    height[rows] = high;
    rows += 1;
    down += high + gap;
    start = end;
    sum = 0;
  };
  for (let at = 0; at < count; at++) {
    if (parted > 0 && at === parted) {
      if (start < at) close(at, Math.min(target, (width - (at - start - 1) * gap) / sum));
      down += room;
    }
    const aspect = shownAspect(aspects[at] as number);
    const free = width - (at - start) * gap;
    const before = sum > 0 ? (free + gap) / sum : Infinity;
    const after = free / (sum + aspect);
    if (after <= target) {
      // close the row before or behind this photo, whichever comes nearer to the height that is wished for
      if (at > start && before - target < target - after && before < target * 1.5) {
        close(at, (width - (at - start - 1) * gap) / sum);
        sum = aspect;
        if (width / sum <= target) close(at + 1, width / sum);
      } else close(at + 1, after);
    } else sum += aspect;
  }
  if (start < count) close(count, Math.min(target, (width - (count - start - 1) * gap) / sum));
  first[rows] = count;
  top[rows] = down;
  return { count: rows, first, top, height, gap, total: Math.max(0, down - gap) };
}

/** The row that lies at so many pixels. */
export function rowAt(rows: Rows, y: number): number {
  let low = 0;
  let high = rows.count - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((rows.top[middle] as number) <= y) low = middle;
    else high = middle - 1;
  }
  return Math.max(0, low);
}

/** The row that holds a photo. */
export function rowOf(rows: Rows, photo: number): number {
  let low = 0;
  let high = rows.count - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((rows.first[middle] as number) <= photo) low = middle;
    else high = middle - 1;
  }
  return Math.max(0, low);
}
