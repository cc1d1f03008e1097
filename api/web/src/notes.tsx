/** Short notes at the edge of the page that are read aloud too, and notes about errors. */
import { signal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { ApiError, said, unreachable } from "./api";
import { Icon } from "./icons";
import { s } from "./strings";

interface Note {
  readonly text: string;
  readonly bad: boolean;
}

const note = signal<Note | null>(null);
let timer = 0;

export function tell(text: string, bad = false): void {
  note.value = { text, bad };
  clearTimeout(timer);
  timer = window.setTimeout(() => (note.value = null), bad ? 9000 : 3500);
}

export const tellError = (error: unknown) => tell(said(error), true);

export function Notes() {
  const last = useRef("");
  if (note.value) last.current = note.value.text;
  return (
    <>
      {unreachable.value ? <div class="offline" role="alert">{s.offlineBar}</div> : null}
      <div class={`note${note.value ? " shown" : ""}${note.value?.bad ? " bad" : ""}`} role="status" aria-live="polite">
        {note.value?.text ?? ""}
      </div>
    </>
  );
}

/** An error in the place of what could not be shown. */
export function Failed({ error, again }: { error: unknown; again?: () => void }) {
  return (
    <div class="state" role="alert">
      <Icon name="broken" />
      <h2>{(error instanceof ApiError && error.title) || s.failed}</h2>
      <p>{said(error)}</p>
      {again ? <button class="button" type="button" onClick={again}>{s.retry}</button> : null}
    </div>
  );
}
