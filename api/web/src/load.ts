/** Something that is asked for once, with what goes wrong. */
import { useEffect, useState } from "preact/hooks";
import { isAbort } from "./api";

export interface Loaded<T> {
  readonly value: T | null;
  readonly error: unknown;
  readonly loading: boolean;
  again: () => void;
  set: (value: T) => void;
}

export function useLoaded<T>(load: (signal: AbortSignal) => Promise<T>, depends: readonly unknown[]): Loaded<T> {
  const [state, setState] = useState<{ value: T | null; error: unknown; loading: boolean }>({ value: null, error: null, loading: true });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const control = new AbortController();
    setState((before) => ({ ...before, error: null, loading: true }));
    load(control.signal).then(
      (value) => control.signal.aborted || setState({ value, error: null, loading: false }),
      (error: unknown) => control.signal.aborted || isAbort(error) || setState({ value: null, error, loading: false }),
    );
    return () => control.abort();
  }, [...depends, turn]);
  return { ...state, again: () => setTurn(turn + 1), set: (value) => setState({ value, error: null, loading: false }) };
}
