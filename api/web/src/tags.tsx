/** The tags of a photo: how sure they are, who said so, and keys to say more. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { api } from "./api";
import { Icon } from "./icons";
import { facets, may } from "./library";
import { tell, tellError } from "./notes";
import type { ImageGiven } from "./schemas";
import { percent, s } from "./strings";

type Said = "confirmed" | "rejected" | null;

/** What was said last, to be undone: the photo, the tag, and what was said of it before. */
const past: { digest: string; tag: string; before: Said }[] = [];

export async function say(digest: string, tag: string, verdict: "confirmed" | "rejected", before: Said): Promise<boolean> {
  try {
    await api.say(digest, tag, verdict);
    past.push({ digest, tag, before });
    tell(verdict === "confirmed" ? s.confirmed(tag) : s.rejected(tag));
    return true;
  } catch (error) {
    tellError(error);
    return false;
  }
}

/** Undo what was said last; of one photo only where its digest is given. */
export async function undo(digest?: string, tag?: string): Promise<string | null> {
  const at = past.findLastIndex((entry) => (!digest || entry.digest === digest) && (!tag || entry.tag === tag));
  const last = past[at];
  if (!last) return null;
  try {
    if (last.before) await api.say(last.digest, last.tag, last.before);
    else await api.unsay(last.digest, last.tag);
    past.splice(at, 1);
    tell(s.undid(last.tag));
    return last.digest;
  } catch (error) {
    tellError(error);
    return null;
  }
}

export function Tags({ image, onChanged }: { image: ImageGiven; onChanged: () => void }) {
  const box = useRef<HTMLElement>(null);
  const wanted = useRef<number | null>(null);
  const words = useSignal("");
  const allowed = may("tag");
  const tags = [...image.tags].sort((a, b) => Number(b.human) - Number(a.human) || b.precision - a.precision || a.tag.localeCompare(b.tag));
  useEffect(() => {
    if (wanted.current === null) return;
    const rows = box.current?.querySelectorAll<HTMLElement>(".tag") ?? [];
    rows[Math.min(wanted.current, rows.length - 1)]?.focus();
    wanted.current = null;
  }, [image]);
  const before = (tag: string): Said => (image.rejected.includes(tag) ? "rejected" : tags.find((entry) => entry.tag === tag)?.human ? "confirmed" : null);
  const put = async (tag: string, verdict: "confirmed" | "rejected", at?: number) => {
    if (await say(image.digest, tag, verdict, before(tag))) {
      wanted.current = at ?? null;
      onChanged();
    }
  };
  const takeBack = async (tag?: string, at?: number) => {
    const said = tag && before(tag) && !past.some((entry) => entry.digest === image.digest && entry.tag === tag);
    if (said) await api.unsay(image.digest, tag).then(() => tell(s.undid(tag)), tellError);
    else if (!(await undo(image.digest, tag))) return;
    wanted.current = at ?? null;
    onChanged();
  };
  const keys = (event: KeyboardEvent, tag: string, at: number) => {
    const rows = Array.from(box.current?.querySelectorAll<HTMLElement>(".tag") ?? []);
    if (event.key === "ArrowDown") rows[at + 1]?.focus();
    else if (event.key === "ArrowUp") rows[at - 1]?.focus();
    else if (!allowed || event.ctrlKey || event.metaKey || event.altKey) return;
    else if (event.key === "y") void put(tag, "confirmed", at);
    else if (event.key === "n") void put(tag, "rejected", at);
    else if (event.key === "u") void takeBack(past.some((entry) => entry.digest === image.digest) ? undefined : tag, at);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <section ref={box} class="tags">
      <h3>{s.tags}</h3>
      {tags.length || image.rejected.length ? null : <p class="hint">{s.noTags}</p>}
      <ul>
        {tags.map((entry, at) => (
          <li key={entry.tag} class={entry.human ? "human" : ""}>
            <div class="tag" role="group" tabIndex={0} data-tag={entry.tag} aria-label={`${entry.tag}, ${entry.human ? s.byPerson : s.precision(entry.precision)}`} onKeyDown={(event) => keys(event, entry.tag, at)}>
              <span class="word">{entry.tag}</span>
              {entry.human ? <span class="who" title={s.byPerson}><Icon name="person" /></span> : (
                <span class="sure" title={s.precision(entry.precision)}><span class="track"><i style={{ width: `${entry.precision * 100}%` }} /></span><small>{percent(entry.precision)}</small></span>
              )}
            </div>
            {allowed ? (
              <>
                <button type="button" class="quiet yes" aria-label={s.confirm(entry.tag)} aria-pressed={entry.human} onClick={() => void (entry.human ? takeBack(entry.tag, at) : put(entry.tag, "confirmed", at))}><Icon name="check" /></button>
                <button type="button" class="quiet no" aria-label={s.reject(entry.tag)} onClick={() => void put(entry.tag, "rejected", at)}><Icon name="close" /></button>
              </>
            ) : null}
          </li>
        ))}
        {image.rejected.map((tag, at) => (
          <li key={`not ${tag}`} class="rejected">
            <div class="tag" role="group" tabIndex={0} data-tag={tag} aria-label={`${tag}, ${s.rejectedTags}`} onKeyDown={(event) => keys(event, tag, tags.length + at)}><span class="word">{tag}</span></div>
            {allowed ? <button type="button" class="quiet" aria-label={`${s.undo}: ${tag}`} onClick={() => void takeBack(tag, tags.length + at)}><Icon name="undo" /></button> : null}
          </li>
        ))}
      </ul>
      {allowed ? (
        <>
          <form class="adding" onSubmit={(event) => { event.preventDefault(); const tag = words.value.trim(); if (tag) void put(tag, "confirmed").then(() => (words.value = "")); }}>
            <input list="known-tags" value={words.value} maxLength={200} placeholder={s.addTag} aria-label={s.addTag} onInput={(event) => (words.value = event.currentTarget.value)} />
            <datalist id="known-tags">{(facets.value?.tags ?? []).slice(0, 200).map((entry) => <option key={entry.value} value={entry.value} />)}</datalist>
            <button class="button plain" type="submit" disabled={!words.value.trim()}>{s.add}</button>
          </form>
          {tags.length ? <p class="hint">{s.tagKeys}</p> : null}
        </>
      ) : null}
    </section>
  );
}
