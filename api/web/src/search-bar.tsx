/** The field that is typed into, the parts of the query beside it, and pictures that are dropped, pasted or chosen. */
import { effect, signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { picture } from "./api";
import { Icon } from "./icons";
import { stats } from "./library";
import { tell } from "./notes";
import { place } from "./place";
import { change, keepPicture, NO_QUERY, pictures, query, type Term } from "./query";
import { s } from "./strings";

const WAIT_MS = 180;

/** What stands in the field; the address follows a moment later. */
const draft = signal(query.value.words);
let timer = 0;
let typing = false;

effect(() => {
  const { words } = query.value;
  if (place.value.again) {
    typing = false;
    clearTimeout(timer);
  }
  if (!typing) draft.value = words;
});

function type(words: string): void {
  draft.value = words;
  clearTimeout(timer);
  timer = window.setTimeout(() => commit(), WAIT_MS);
}

function commit(): void {
  clearTimeout(timer);
  const words = draft.value.trim() ? draft.value : "";
  if (words === query.value.words) return;
  change({ words }, { replace: typing });
  typing = true;
}

function add(kind: "also" | "less" | "without"): void {
  clearTimeout(timer);
  const words = draft.value.trim();
  if (!words) return;
  typing = false;
  const { terms, without } = query.value;
  if (kind === "without") change({ words: "", without: [...without, words] });
  else change({ words: "", terms: [...terms, { kind: "text", value: words, weight: kind === "less" ? -1 : 1 }] });
  document.querySelector<HTMLInputElement>("#search")?.focus();
}

export function searchPicture(file: File | null | undefined): void {
  if (!file) return;
  if (!file.type.startsWith("image/") || file.type === "image/svg+xml") return tell(s.notAPicture, true);
  const limit = stats.value?.upload_bytes ?? Infinity;
  if (file.size > limit) return tell(s.tooLarge(limit), true);
  const name = keepPicture(file);
  const others = query.value.terms.filter((term) => term.kind === "text");
  change({ terms: [...others, { kind: "upload", value: name, weight: 1 }] });
  scrollTo(0, 0);
}

/** Pictures that are dropped on the page or pasted anywhere. */
export function DropTarget() {
  const over = useSignal(false);
  useEffect(() => {
    const holds = (event: DragEvent) => Array.from(event.dataTransfer?.types ?? []).includes("Files");
    const drag = (event: DragEvent) => {
      if (!holds(event)) return;
      event.preventDefault();
      over.value = true;
    };
    const leave = (event: DragEvent) => {
      if (!event.relatedTarget) over.value = false;
    };
    const drop = (event: DragEvent) => {
      over.value = false;
      if (!holds(event)) return;
      event.preventDefault();
      searchPicture(event.dataTransfer?.files[0]);
    };
    const paste = (event: ClipboardEvent) => {
      const file = Array.from(event.clipboardData?.files ?? []).find((one) => one.type.startsWith("image/"));
      if (!file) return;
      event.preventDefault();
      searchPicture(file);
    };
    addEventListener("dragover", drag);
    addEventListener("dragleave", leave);
    addEventListener("drop", drop);
    addEventListener("paste", paste);
    return () => {
      removeEventListener("dragover", drag);
      removeEventListener("dragleave", leave);
      removeEventListener("drop", drop);
      removeEventListener("paste", paste);
    };
  }, []);
  return over.value ? <div class="drop"><div><Icon name="picture" /><p>{s.dropHere}</p></div></div> : null;
}

export function SearchBar() {
  const file = useRef<HTMLInputElement>(null);
  const { terms, without } = query.value;
  const words = draft.value.trim();
  const some = words || terms.length || without.length;
  const keys = (event: KeyboardEvent) => {
    if (event.key === "Enter") {
      if (event.shiftKey) add("also");
      else commit();
      event.preventDefault();
    } else if (event.key === "Backspace" && !draft.value && (terms.length || without.length)) {
      if (without.length) change({ without: without.slice(0, -1) });
      else {
        const last = terms.at(-1) as Term;
        change({ terms: terms.slice(0, -1), words: last.kind === "text" ? last.value : "" });
      }
      event.preventDefault();
    } else if (event.key === "Escape") (event.target as HTMLElement).blur();
    else if (event.key === "ArrowDown") {
      document.querySelector<HTMLElement>('.grid [tabindex="0"]')?.focus();
      event.preventDefault();
    }
  };
  return (
    <form class="search" role="search" onSubmit={(event) => (event.preventDefault(), commit())}>
      <Icon name="search" />
      <div class="parts">
        {terms.length || without.length ? (
          <ul class="chips" aria-label={s.terms}>
            {terms.map((term, at) => <Chip key={`${term.kind}${term.value}${at}`} term={term} at={at} />)}
            {without.map((name, at) => (
              <li key={`not${name}${at}`} class="chip out">
                <span title={s.withoutHint}>{s.without} <b>{name}</b></span>
                <Remove name={name} onRemove={() => change({ without: without.filter((_, other) => other !== at) })} />
              </li>
            ))}
          </ul>
        ) : null}
        <input
          id="search" type="search" value={draft.value} placeholder={terms.length || without.length ? "" : s.searchHint} aria-label={s.searchLabel} autocomplete="off"
          spellcheck={false} enterkeyhint="search" maxLength={2000} onInput={(event) => type(event.currentTarget.value)}
          onFocus={() => (typing = false)} onBlur={() => (commit(), (typing = false))} onKeyDown={keys}
        />
      </div>
      {words ? (
        <div class="adders" role="group" aria-label={s.minusOrWithout} onMouseDown={(event) => event.preventDefault() /* the field keeps the focus, and so these stay */}>
          <button type="button" title={s.alsoHint} onClick={() => add("also")}><Icon name="plus" />{s.also}</button>
          <button type="button" title={s.lessHint} onClick={() => add("less")}><Icon name="minus" />{s.less}</button>
          <button type="button" title={s.withoutHint} onClick={() => add("without")}><Icon name="without" />{s.without}</button>
        </div>
      ) : null}
      {some ? (
        <button class="quiet" type="button" aria-label={s.clear} title={s.clear}
          onClick={() => ((typing = false), clearTimeout(timer), (draft.value = ""), change({ ...NO_QUERY, strictness: query.value.strictness, filters: query.value.filters }))}>
          <Icon name="close" />
        </button>
      ) : null}
      <button class="quiet" type="button" aria-label={s.choosePicture} title={s.choosePicture} onClick={() => file.current?.click()}>
        <Icon name="picture" />
      </button>
      <input ref={file} type="file" accept="image/*,.heic,.heif,.avif" hidden
        onChange={(event) => (searchPicture(event.currentTarget.files?.[0]), (event.currentTarget.value = ""))} />
    </form>
  );
}

const WEIGHTS = [-1, 0.5, 1, 2];

function Chip({ term, at }: { term: Term; at: number }) {
  const open = useSignal(false);
  const box = useRef<HTMLLIElement>(null);
  const { terms } = query.value;
  const put = (weight: number) => change({ terms: terms.map((other, place) => (place === at ? { ...other, weight } : other)) });
  const name = term.kind === "text" ? term.value : term.kind === "image" ? s.likePhoto : pictures.has(term.value) ? s.likePicture : s.pictureGone;
  useEffect(() => {
    if (!open.value) return;
    const away = (event: Event) => {
      if (event instanceof KeyboardEvent ? event.key === "Escape" : !box.current?.contains(event.target as Node)) open.value = false;
    };
    addEventListener("pointerdown", away);
    addEventListener("keydown", away);
    return () => {
      removeEventListener("pointerdown", away);
      removeEventListener("keydown", away);
    };
  }, [open.value]);
  const address = term.kind === "image" ? picture.thumbnail(term.value, 160) : term.kind === "upload" ? pictures.get(term.value)?.address : undefined;
  return (
    <li class={`chip${term.weight < 0 ? " minus" : ""}${term.kind === "upload" && !pictures.has(term.value) ? " gone" : ""}`} ref={box}>
      <button type="button" class="face" aria-expanded={open.value} aria-label={s.changeTerm(name, term.weight)} onClick={() => (open.value = !open.value)}>
        {address ? <img src={address} alt="" /> : null}
        {term.weight !== 1 ? <span class="weight">{term.weight < 0 ? "−" : ""}{Math.abs(term.weight) === 1 ? "" : `${Math.abs(term.weight)}×`}</span> : null}
        <b>{name}</b>
      </button>
      <Remove name={name} onRemove={() => change({ terms: terms.filter((_, place) => place !== at) })} />
      {open.value ? (
        <div class="pop" role="group" aria-label={s.weight}>
          {WEIGHTS.map((weight) => (
            <button key={weight} type="button" aria-pressed={term.weight === weight} onClick={() => (put(weight), (open.value = false))}>
              <span>{weight < 0 ? `−${-weight}` : weight}</span>{s.weights[weight]}
            </button>
          ))}
          {term.kind === "text" ? (
            <button type="button" onClick={() => change({ terms: terms.filter((_, place) => place !== at), without: [...query.value.without, term.value] })}>
              <span><Icon name="without" /></span>{s.without}
            </button>
          ) : null}
          <p>{s.minusOrWithout}</p>
        </div>
      ) : null}
    </li>
  );
}

function Remove({ name, onRemove }: { name: string; onRemove: () => void }) {
  return (
    <button type="button" class="remove" aria-label={s.remove(name)} onClick={onRemove}>
      <Icon name="close" />
    </button>
  );
}
