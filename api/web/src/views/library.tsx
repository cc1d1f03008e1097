/** What the library holds. */
import { api } from "../api";
import { facets, stats } from "../library";
import { useLoaded } from "../load";
import { tellError } from "../notes";
import { to } from "../place";
import { format, NO_FILTERS, NO_QUERY } from "../query";
import { count, s } from "../strings";

export function Library() {
  const given = stats.value;
  const found = facets.value;
  const session = useLoaded(() => api.session().catch(() => null), []);
  if (!given) return <div class="view"><p class="hint" role="status">{s.loading} …</p></div>;
  const rows: [string, string][] = [
    [s.statsPhotos, s.inFiles(found?.photos ?? given.photos, given.photos)], [s.statsFailures, count(given.failures)], [s.statsEncoder, given.encoder ?? s.noneOf],
    [s.statsRegions, given.regions ?? s.noneOf], [s.statsDehaze, given.dehaze ?? s.noneOf], [s.statsRuns, count(given.tag_runs)], [s.statsVersion, given.version],
  ];
  const tagged = (tag: string) => to(`/${format({ ...NO_QUERY, filters: { ...NO_FILTERS, tags: [tag] } })}`);
  const most = Math.max(1, ...(found?.years.map((year) => year.photos) ?? []));
  return (
    <div class="view library">
      <header class="view-head"><h1>{s.library}</h1></header>
      <dl class="figures">{rows.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
      <section>
        <h2>{s.roots}</h2>
        <dl class="facts wide">{Object.entries(given.roots).map(([root, photos]) => <div key={root}><dt>{root}</dt><dd>{s.files(photos)}</dd></div>)}</dl>
      </section>
      {found?.years.length ? (
        <section>
          <h2>{s.years}</h2>
          <ul class="columns-chart">
            {[...found.years].sort((a, b) => a.value.localeCompare(b.value)).map((year) => (
              <li key={year.value}>
                <a href={to(`/${format({ ...NO_QUERY, filters: { ...NO_FILTERS, from: `${year.value}-01-01`, to: `${year.value}-12-31` } })}`)} title={s.jumpTo(year.value, year.photos)} aria-label={s.jumpTo(year.value, year.photos)}>
                  <i style={{ height: `${Math.max(2, (100 * year.photos) / most)}%` }} /><span>{year.value}</span>
                </a>
              </li>
            ))}
          </ul>
        </section>
      ) : null}
      {found?.tags.length ? (
        <section>
          <h2>{s.taggedMost}</h2>
          <ul class="labels">{found.tags.slice(0, 40).map((tag) => <li key={tag.value}><a href={tagged(tag.value)}>{tag.value}<small>{count(tag.photos)}</small></a></li>)}</ul>
        </section>
      ) : null}
      {session.value?.name && session.value.name !== "local" ? (
        <p>{s.signedIn(session.value.name)} <button class="link" type="button" onClick={() => api.signOut().then(() => location.reload(), tellError)}>{s.signOut}</button></p>
      ) : null}
    </div>
  );
}
