/** Photos that are the same or nearly so. Nothing is deleted here. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../api";
import { Failed } from "../notes";
import { photoLink } from "../place";
import type { DuplicateGroupGiven, DuplicatesGiven } from "../schemas";
import { bytes, nameOf, s } from "../strings";
import { Thumbnail } from "../tile";
import { Select } from "../toolbar";

export function Duplicates() {
  const kind = useSignal("");
  const groups = useSignal<readonly DuplicateGroupGiven[]>([]);
  const last = useSignal<DuplicatesGiven | null>(null);
  const error = useSignal<unknown>(null);
  const turn = useSignal(0);
  const more = async (cursor?: string | null) => {
    const mine = turn.value;
    try {
      const given = await api.duplicates(kind.value, cursor);
      if (mine !== turn.value) return;
      groups.value = [...(cursor ? groups.value : []), ...given.groups];
      last.value = given;
    } catch (fault) {
      error.value = fault;
    }
  };
  const begin = () => {
    turn.value += 1;
    groups.value = [];
    last.value = null;
    error.value = null;
    void more();
  };
  useEffect(begin, [kind.value]);
  return (
    <div class="view">
      <header class="view-head">
        <h1>{s.duplicates}</h1>
        <p>{last.value ? `${s.groups(last.value.total)} · ${s.spare(last.value.spare_bytes)}. ` : ""}{s.duplicatesHint}</p>
        <Select name={s.duplicates} value={kind.value} options={s.kinds} onChange={(value) => (kind.value = value)} />
      </header>
      {error.value ? <Failed error={error.value} again={begin} /> : null}
      {!last.value && !error.value ? <p class="hint" role="status">{s.loading} …</p> : null}
      {last.value?.notes.map((words) => <p key={words} class="remark">{words}</p>)}
      {last.value && !groups.value.length ? <div class="state"><h2>{s.noDuplicates}</h2></div> : null}
      {groups.value.map((group, at) => (
        <section class="group" key={`${at}${group.frames[0]?.digest}`}>
          <h2>{s.kinds[group.kind]} <small>{s.photos(group.frames.length)} · {s.spare(group.spare_bytes)}</small></h2>
          <ul>
            {group.frames.map((frame, place) => (
              <li key={frame.root + frame.path} class={place === 0 ? "best" : ""}>
                <a href={photoLink(frame.digest)} aria-label={nameOf(frame.path)} style={{ aspectRatio: `${frame.width} / ${frame.height}` }}><Thumbnail digest={frame.digest} side={240} /></a>
                <div><b>{place === 0 ? `${s.best}: ${group.reason}` : frame.likeness}</b><span title={`${frame.root}/${frame.path}`}>{frame.path}</span><span>{frame.width} × {frame.height} · {bytes(frame.byte_size)}</span></div>
              </li>
            ))}
          </ul>
        </section>
      ))}
      {last.value?.next ? <button class="button" type="button" onClick={() => void more(last.value?.next)}>{s.more}</button> : null}
    </div>
  );
}
