/** Long work: what goes on, live; start, cancel, fetch the result. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api, isAbort } from "../api";
import { Icon } from "../icons";
import { may } from "../library";
import { renewed } from "../listing";
import { useLoaded } from "../load";
import { Failed, tell, tellError } from "../notes";
import { to } from "../place";
import type { JobGiven, Progress } from "../schemas";
import { lasting, s, timeOf } from "../strings";
import { FORMS } from "./job-forms";

const GOING = new Set(["waiting", "running"]);

export function Jobs({ chosen }: { chosen: string | undefined }) {
  const found = useLoaded(() => api.jobs(), [chosen]);
  const form = useSignal<string | null>(null);
  const forms = FORMS.filter(([, , allowed]) => allowed());
  return (
    <div class="view">
      <header class="view-head"><h1>{s.jobs}</h1><p>{s.jobsHint}</p></header>
      {forms.length ? (
        <section class="new-job" aria-label={s.newJob}>
          <div class="tabs" role="group" aria-label={s.newJob}>
            {forms.map(([kind]) => (
              <button key={kind} class={`button plain${form.value === kind ? " on" : ""}`} type="button" aria-expanded={form.value === kind} onClick={() => (form.value = form.value === kind ? null : kind)}>
                {s.jobKinds[kind]}
              </button>
            ))}
          </div>
          {forms.map(([kind, Form]) => (form.value === kind ? <Form key={kind} /> : null))}
        </section>
      ) : <p class="hint">{s.noScope}</p>}
      {found.error ? <Failed error={found.error} again={found.again} /> : null}
      {found.value && !found.value.jobs.length ? <div class="state"><h2>{s.noJobs}</h2></div> : null}
      <ul class="jobs">
        {found.value?.jobs.map((job) => <JobCard key={job.id} given={job} open={job.id === chosen} />)}
      </ul>
    </div>
  );
}

function JobCard({ given, open }: { given: JobGiven; open: boolean }) {
  const now = useSignal(given);
  const job = now.value;
  const going = GOING.has(job.state);
  useEffect(() => {
    now.value = given;
  }, [given]);
  useEffect(() => (going ? follow(job.id, (news) => {
    const next = { ...now.peek(), ...news };
    if (GOING.has(now.peek().state) && !GOING.has(next.state)) {
      tell(s.jobEnded(next), next.state === "failed");
      renewed.value += 1;
    }
    now.value = next;
  }) : undefined), [job.id, going]);
  const { progress } = job;
  const share = progress?.total ? Math.min(1, progress.done / progress.total) : null;
  const took = job.started_at && job.ended_at ? (Date.parse(job.ended_at) - Date.parse(job.started_at)) / 1000 : null;
  const outcome = job.outcome ? Object.entries(job.outcome).filter(([, value]) => ["number", "string", "boolean"].includes(typeof value)) : [];
  return (
    <li class={`job ${job.state}${open ? " open" : ""}`} data-job={job.id}>
      <div class="job-head">
        <h2>{s.jobKinds[job.kind] ?? job.kind}</h2>
        <span class={`pill ${job.state}`} data-state={job.state}>{job.cancelling && going ? s.stopping : (s.jobStates[job.state] ?? job.state)}</span>
        <span class="space" />
        <time dateTime={job.created_at}>{timeOf(job.created_at)}{took !== null ? ` · ${lasting(took)}` : ""}</time>
        {going && !job.cancelling && may("tag") ? (
          <button class="button plain" type="button" onClick={() => api.cancel(job.id).then(() => (now.value = { ...now.value, cancelling: true }), tellError)}>{s.cancel}</button>
        ) : null}
        {job.state === "finished" && job.kind === "index" ? <a class="button plain" href={to("/")}>{s.seePhotos}</a> : null}
        {job.state === "finished" && job.kind === "tag" ? <a class="button plain" href={to("/runs")}>{s.seeRuns}</a> : null}
        {job.result ? <a class="button primary" href={to(job.result)} download><Icon name="download" />{s.getResult}</a> : null}
      </div>
      {going && progress ? (
        <>
          <progress max={1} {...(share === null ? {} : { value: share })} aria-label={progress.stage} />
          <p class="hint">{progress.stage} · {s.progress(progress.done, progress.total)}{progress.eta_s != null ? ` · ${s.eta(progress.eta_s)}` : ""}{(job.attempts ?? 0) > 1 ? ` · ${s.attempts(job.attempts ?? 0)}` : ""}</p>
        </>
      ) : null}
      {job.error ? <p class="fault" role="alert">{job.error}</p> : null}
      {outcome.length ? (
        <details open={open}>
          <summary>{s.outcome}</summary>
          <dl class="facts">{outcome.map(([name, value]) => <div key={name}><dt>{name.replaceAll("_", " ")}</dt><dd>{String(value)}</dd></div>)}</dl>
        </details>
      ) : null}
    </li>
  );
}

/** Hear of a job as it goes on; ask now and then where events do not come. */
function follow(id: string, hear: (news: Partial<JobGiven>) => void): () => void {
  const source = new EventSource(to(`/v1/jobs/${encodeURIComponent(id)}/events`));
  let over = false;
  let heard = 0;
  const take = (job: JobGiven) => {
    if (over) return;
    heard = Date.now();
    hear(job);
    if (!GOING.has(job.state)) end();
  };
  const poll = () => {
    if (Date.now() - heard > 1900) api.job(id).then(take, (error: unknown) => isAbort(error) || undefined);
  };
  const asking = window.setInterval(poll, 2000);
  const end = () => {
    over = true;
    source.close();
    clearInterval(asking);
  };
  source.addEventListener("state", (event) => take(JSON.parse((event as MessageEvent<string>).data) as JobGiven));
  source.addEventListener("progress", (event) => {
    heard = Date.now();
    hear({ progress: JSON.parse((event as MessageEvent<string>).data) as Progress });
  });
  return end;
}
