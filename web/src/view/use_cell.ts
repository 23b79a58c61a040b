// Binds a store's cell to a component.
import { useSyncExternalStore } from "react";
import type { Readable } from "../store/cell";

export function useCell<T>(cell: Readable<T>): T {
  return useSyncExternalStore(
    (listener) => cell.subscribe(listener),
    () => cell.get(),
  );
}
