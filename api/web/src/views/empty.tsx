/** A library without photos: how to fill it. */
import { may, stats } from "../library";
import { s } from "../strings";
import { IndexForm } from "./job-forms";

export function Empty() {
  return (
    <div class="state welcome">
      <svg class="glass" viewBox="0 0 120 72" aria-hidden="true"><circle cx="46" cy="36" r="30" /><circle cx="74" cy="36" r="30" /></svg>
      <h1>{s.emptyTitle}</h1>
      <p>{s.emptyHint}</p>
      {stats.value && may("admin") ? <IndexForm /> : null}
      <p class="hint">{s.emptyCommand}</p>
      <pre>pellucid index ~/Pictures</pre>
    </div>
  );
}
