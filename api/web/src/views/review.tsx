/** Doubtful tags one after another: yes, no, later. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api, picture } from "../api";
import { Icon } from "../icons";
import { may } from "../library";
import { useLoaded } from "../load";
import { Failed } from "../notes";
import { photoLink, place, to } from "../place";
import type { DoubtGiven } from "../schemas";
import { s } from "../strings";
import { say, undo } from "../tags";
import { Thumbnail } from "../tile";

const LOAD = 60;

export function Review() {
  const found = useLoaded(() => api.review(LOAD), []);
  const at = useSignal(0);
  const answered = useSignal(0);
  const tags = found.value?.tags ?? [];
  const now: DoubtGiven | undefined = found.loading ? undefined : tags[at.value];
  const open = Math.max(0, (found.value?.open ?? 0) - answered.value);
  const busy = useSignal(false);

  const step = async (verdict: "confirmed" | "rejected" | null) => {
    if (!now || busy.value) return;
    busy.value = true;
    if (verdict && !(await say(now.digest, now.tag, verdict, null))) {
      busy.value = false;
      return;
    }
    if (verdict) answered.value += 1;
    at.value += 1;
    busy.value = false;
    if (at.value >= tags.length) {
      at.value = 0;
      answered.value = 0;
      found.again();
    }
  };
  const back = async () => {
    if (await undo()) {
      answered.value = Math.max(0, answered.value - 1);
      at.value = Math.max(0, at.value - 1);
    }
  };
  useEffect(() => {
    const keys = (event: KeyboardEvent) => {
      if (place.value.path !== "/review" || event.ctrlKey || event.metaKey || event.altKey || (event.target as HTMLElement).matches("input, textarea, select")) return;
      if (event.key === "y") void step("confirmed");
      else if (event.key === "n") void step("rejected");
      else if (event.key === "u") void back();
      else if (event.key === " " && !(event.target as HTMLElement).matches("button, a")) void step(null);
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  });
  return (
    <div class="view review">
      <header class="view-head"><h1>{s.review}</h1><p>{found.value?.tags.length ? `${s.reviewOpen(open)}. ${s.reviewHint}` : ""}</p></header>
      {found.error ? <Failed error={found.error} again={found.again} /> : null}
      {found.value && !found.loading && !now ? (
        <div class="state"><Icon name="check" /><h2>{s.reviewDone}</h2><p>{s.reviewDoneHint}</p><a class="button" href={to("/jobs")}>{s.startTagging}</a></div>
      ) : null}
      {now ? (
        <div class="doubt" data-digest={now.digest} data-tag={now.tag}>
          <a class="doubt-photo" href={photoLink(now.digest)} aria-label={s.open}>
            <img key={now.digest} src={picture.preview(now.digest)} alt="" style={{ backgroundImage: `url("${picture.thumbnail(now.digest, 320)}")` }} />
          </a>
          <div class="doubt-ask" aria-live="polite">
            <h2>{s.reviewQuestion(now.tag)}</h2>
            <p class="hint">{s.precision(now.precision)}</p>
            {may("tag") ? (
              <div class="answers">
                <button class="button primary" type="button" onClick={() => void step("confirmed")}><Icon name="check" />{s.yes} <kbd>y</kbd></button>
                <button class="button" type="button" onClick={() => void step("rejected")}><Icon name="close" />{s.no} <kbd>n</kbd></button>
                <button class="button plain" type="button" onClick={() => void step(null)}>{s.later} <kbd>␣</kbd></button>
                <button class="button plain" type="button" onClick={() => void back()}><Icon name="undo" />{s.undo} <kbd>u</kbd></button>
              </div>
            ) : <p>{s.noScope}</p>}
          </div>
          <ul class="strip" aria-hidden="true">
            {tags.slice(at.value + 1, at.value + 9).map((next) => <li key={next.digest + next.tag}><Thumbnail digest={next.digest} side={104} /></li>)}
          </ul>
        </div>
      ) : null}
    </div>
  );
}
