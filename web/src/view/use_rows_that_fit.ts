// How many rows of a list fit into the height its box happens to have.
import { useEffect, useState, type RefObject } from "react";

interface Fit {
  readonly rowPx: number;
  /** What else stands in the box: heads, middles. */
  readonly restPx: number;
  readonly least: number;
  readonly most: number;
}

/** The rows that fit, split evenly over `parts`; `most` until the box has been measured. */
export function useRowsThatFit(
  box: RefObject<HTMLElement | null>,
  parts: number,
  fit: Fit,
): number {
  const { rowPx, restPx, least, most } = fit;
  const [rows, setRows] = useState(most);
  useEffect(() => {
    if (box.current === null || typeof ResizeObserver === "undefined") return;
    const observer = new ResizeObserver(([entry]) => {
      const height = entry?.contentRect.height ?? 0;
      if (height === 0) return;
      const fitting = Math.floor((height - restPx) / (rowPx * parts));
      setRows(Math.max(least, Math.min(most, fitting)));
    });
    observer.observe(box.current);
    return () => observer.disconnect();
  }, [box, parts, rowPx, restPx, least, most]);
  return rows;
}
