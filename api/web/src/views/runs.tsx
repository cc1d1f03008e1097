/** Runs of tagging: what each did, what changed between two, and taking one back. */
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { api } from "../api";
import { may } from "../library";
import { renewed } from "../listing";
import { useLoaded } from "../load";
import { Failed, tell, tellError } from "../notes";
import { photoLink, to } from "../place";
import type { RunGiven } from "../schemas";
import { count, s, timeOf } from "../strings";
import { Thumbnail } from "../tile";

export function Runs() {
  const found = useLoaded(() => api.runs(), []);
  const runs = [...(found.value?.runs ?? [])].reverse();
  return (
    <div class="view">
      <header class="view-head"><h1>{s.runs}</h1><p>{s.runsHint}</p></header>
      {found.error ? <Failed error={found.error} again={found.again} /> : null}
      {found.value && !runs.length ? <div class="state"><h2>{s.noRuns}</h2><a class="button" href={to("/jobs")}>{s.startTagging}</a></div> : null}
      <ul class="jobs">{runs.map((run) => <Run key={run.run} run={run} onChanged={found.again} />)}</ul>
      {runs.length > 1 ? <Difference runs={runs} /> : null}
    </div>
  );
}

function Run({ run, onChanged }: { run: RunGiven; onChanged: () => void }) {
  const asking = useSignal<"retract" | "promote" | null>(null);
  const dialog = useRef<HTMLDialogElement>(null);
  const ask = (what: "retract" | "promote") => {
    asking.value = what;
    dialog.current?.showModal();
  };
  const act = async () => {
    const what = asking.value as "retract" | "promote";
    dialog.current?.close();
    try {
      const done = await api.change(run.run, what);
      tell(s.changedTags(what, done.tags));
      renewed.value += 1;
      onChanged();
    } catch (error) {
      tellError(error);
    }
  };
  const gone = run.state === "retracted";
  return (
    <li class={`job run ${run.state}`} data-run={run.run}>
      <div class="job-head">
        <h2>{run.vocabulary}</h2>
        <span class={`pill ${run.state}`} data-state={run.state}>{run.state}</span>
        <span class="space" />
        <time dateTime={run.at}>{timeOf(run.at)}</time>
        {may("tag") && !gone ? (
          <>
            <button class="button plain" type="button" onClick={() => ask("promote")}>{s.promote}</button>
            <button class="button plain danger" type="button" onClick={() => ask("retract")}>{s.retract}</button>
          </>
        ) : null}
      </div>
      <p class="hint">{s.runFacts(run.photos, run.tags)} · {run.encoder} · {run.run}</p>
      <dialog ref={dialog} class="ask" aria-label={asking.value ? s[asking.value] : s.retract}>
        <p>{asking.value === "promote" ? s.promoteAsk(run.tags) : s.retractAsk(run.tags)}</p>
        <div class="answers">
          <button class="button plain" type="button" onClick={() => dialog.current?.close()}>{s.cancel}</button>
          <button class={`button primary${asking.value === "retract" ? " danger" : ""}`} type="button" onClick={() => void act()}>{asking.value ? s[asking.value] : ""}</button>
        </div>
      </dialog>
    </li>
  );
}

const SHOWN = 60;

function Difference({ runs }: { runs: readonly RunGiven[] }) {
  const earlier = useSignal(runs[1]?.run ?? "");
  const later = useSignal(runs[0]?.run ?? "");
  const found = useLoaded(() => api.diff(earlier.value, later.value), [earlier.value, later.value]);
  const pick = (name: string, chosen: typeof earlier) => (
    <label>{name}<select value={chosen.value} onChange={(event) => (chosen.value = event.currentTarget.value)}>{runs.map((run) => <option key={run.run} value={run.run}>{timeOf(run.at)} · {run.vocabulary} · {run.run}</option>)}</select></label>
  );
  const both = found.value ? ([["added", s.added, found.value.added], ["removed", s.removed, found.value.removed]] as const) : [];
  return (
    <section class="difference">
      <h2>{s.compareRuns}</h2>
      <p class="hint">{s.compareRunsHint}</p>
      <div class="pair">{pick(s.earlier, earlier)}{pick(s.later2, later)}</div>
      {found.error ? <Failed error={found.error} again={found.again} /> : null}
      {both.every(([, , photos]) => !Object.keys(photos).length) && found.value ? <p>{s.nothingChanged}</p> : null}
      {both.map(([kind, name, photos]) => Object.keys(photos).length ? (
        <div key={kind} class={`changes ${kind}`}>
          <h3>{name} <small>{count(Object.values(photos).reduce((sum, tags) => sum + tags.length, 0))}</small></h3>
          <ul>
            {Object.entries(photos).slice(0, SHOWN).map(([digest, tags]) => (
              <li key={digest}><a href={photoLink(digest)} aria-label={`${s.open}: ${tags.join(", ")}`}><Thumbnail digest={digest} side={104} /></a><span>{tags.join(", ")}</span></li>
            ))}
          </ul>
          {Object.keys(photos).length > SHOWN ? <p class="hint">… {count(Object.keys(photos).length - SHOWN)}</p> : null}
        </div>
      ) : null)}
    </section>
  );
}
