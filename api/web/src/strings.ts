/** All words of the page, in one place, so that it can be translated; and how numbers, dates and names are written. */
import type { Shown } from "./listing";
import type { JobGiven } from "./schemas";

const LOCALE = navigator.language || "en";
const numbers = new Intl.NumberFormat(LOCALE);
const days = new Intl.DateTimeFormat(LOCALE, { dateStyle: "long", timeZone: "UTC" });
const times = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "short" });
const moments = new Intl.DateTimeFormat(LOCALE, { dateStyle: "long", timeStyle: "short", timeZone: "UTC" });
const months = new Intl.DateTimeFormat(LOCALE, { month: "long", year: "numeric", timeZone: "UTC" });

export const count = (value: number) => numbers.format(value);
export const percent = (value: number) => `${Math.round(value * 100)}\u00a0%`;
const many = (value: number, one: string, more: string) => `${count(value)} ${value === 1 ? one : more}`;

/** The clock of the camera, whatever the zone: only the written time counts. */
const written = (iso: string) => new Date(`${iso.slice(0, 19)}${iso.length > 10 ? "Z" : "T00:00:00Z"}`);
const dated = (iso: string, form: Intl.DateTimeFormat) => {
  const date = written(iso);
  return Number.isNaN(date.getTime()) ? iso : form.format(date);
};
export const dayOf = (iso: string) => dated(iso, days);
export const momentOf = (iso: string) => dated(iso, moments);
export const monthOf = (iso: string) => dated(iso, months);
export const timeOf = (iso: string) => {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? iso : times.format(date);
};
export const nameOf = (path: string) => path.slice(path.lastIndexOf("/") + 1);
export const bytes = (value: number) => {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  let left = value;
  while (left >= 1000 && at < units.length - 1) {
    left /= 1000;
    at += 1;
  }
  return `${at === 0 ? left : left.toPrecision(3)} ${units[at]}`;
};
export const lasting = (seconds: number) => {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
};

export function describe(photo: Shown): string {
  const parts = [nameOf(photo.path)];
  if (photo.taken_at) parts.push(dayOf(photo.taken_at));
  if ("probability" in photo) {
    parts.push(s.verdicts[photo.verdict] ?? photo.verdict, percent(photo.probability));
    if (photo.matched === "region" && photo.region) parts.push(s.matchedRegion(photo.region.label));
  }
  return parts.join(", ");
}

export const s = {
  product: "Pellucid",
  home: "All photos",
  skip: "Skip to the photos",
  loading: "Loading",
  retry: "Try again",
  close: "Close",
  cancel: "Cancel",
  more: "Show more",
  photos: (value: number) => many(value, "photo", "photos"),
  hits: (value: number) => many(value, "hit", "hits"),
  matches: (likely: number, unlikely: number) => (unlikely ? `${many(likely, "match", "matches")}, ${count(unlikely)} unlikely` : many(likely, "match", "matches")),
  lessLikely: "less likely from here",
  howSure: (value: number) => `${percent(value)} sure`,
  inFiles: (photos: number, files: number) => (files === photos ? count(photos) : `${count(photos)} in ${many(files, "file", "files")}`),
  files: (value: number) => many(value, "file", "files"),
  noPicture: "This picture cannot be shown",

  // errors
  failed: "That did not work",
  failedWith: (status: number) => `The service answered with status ${status}.`,
  offlineTitle: "No connection",
  offline: "The service cannot be reached. Is it still running?",
  offlineBar: "The service cannot be reached. What is shown may be out of date.",

  // search
  searchLabel: "Search photos",
  searchHint: "Describe a photo, or drop one here",
  clear: "Clear the search",
  also: "and",
  alsoHint: "Keep these words as one part of the query, and add another (Shift+Enter)",
  less: "less",
  lessHint: "Less like this: its direction is subtracted. Good for shades, such as a style or a colour.",
  without: "without",
  withoutHint: "Leave out photos that have evidence of this. Good for things, such as people or cars.",
  minusOrWithout: "“Less” pushes photos like this further down; “without” leaves out those that show it.",
  choosePicture: "Search with a picture",
  dropHere: "Drop a picture to search with it",
  notAPicture: "That is no picture. Drop a photo: JPEG, PNG, WebP, HEIC, TIFF ...",
  tooLarge: (limit: number) => `That picture is larger than the service takes (${bytes(limit)}).`,
  terms: "Parts of the query",
  weight: "Weight",
  weights: { "-1": "less like this", "0.5": "counts half", "1": "counts", "2": "counts double" } as Record<string, string>,
  remove: (name: string) => `Remove ${name}`,
  changeTerm: (name: string, weight: number) => `${name}, weight ${weight}. Change`,
  likePhoto: "like this photo",
  likePicture: "like your picture",
  pictureGone: "your picture (drop it again)",
  moreLike: "More like this",
  moreLikeOf: (name: string) => `More like ${name}`,

  // verdict and order
  verdicts: { strong: "strong match", weak: "weak match", none: "no match" } as Record<string, string>,
  verdictTitles: { strong: "Found", weak: "Perhaps", none: "Nothing here matches" } as Record<string, string>,
  nothingMatches: (words: string) => (words ? `Nothing here matches “${words}”` : "Nothing here matches"),
  /** The service begins with what the heading says already. */
  reason: (why: string) => {
    const rest = why.replace(/^Nothing here matches .*?: /s, "");
    return rest.charAt(0).toUpperCase() + rest.slice(1);
  },
  nearestMiss: "The nearest miss",
  nearestMissHint: "It came closest, and is probably not what you asked for.",
  showAnyway: "Show the nearest anyway",
  noHitsStrict: "No photo is as sure as the strictness asks for.",
  noPhotosWhere: "No photo meets the filters.",
  clearFilters: "Clear filters",
  strictness: "Strictness",
  strictnessHint: "How sure a hit must be to stay. 0 keeps everything.",
  sort: "Sort",
  sortsHits: { "": "Best match", date: "Newest", similarity: "Similarity", quality: "Quality" } as Record<string, string>,
  sortsAll: { "": "Newest first", oldest: "Oldest first", path: "Folder and name", quality: "Quality", rating: "Rating" } as Record<string, string>,
  within: "Compare",
  withins: { "": "Photos and parts", images: "Whole photos", regions: "Parts of photos" } as Record<string, string>,
  diverse: "Diverse",
  diverseHint: "Choose hits that are unlike each other",
  collapse: "Collapse copies",
  collapseHint: "Count photos that look the same as one hit",

  // filters
  filters: "Filters",
  filtersSet: (value: number) => `${value} set`,
  date: "Date",
  from: "From",
  to: "To",
  camera: "Camera",
  haze: "Haze",
  quality: "Quality",
  low: "at least",
  high: "at most",
  clearToHazy: "clear to hazy",
  tags: "Tags",
  regions: "Parts of photos",
  condition: "Condition",
  conditionHint: "What the filters say, in the words of --where. Edit it to ask for more.",
  conditionExample: "e.g. iso < 400 and f_number < 2",
  editCondition: "Edit as text",
  allOf: (name: string, value: number) => `${name}, ${count(value)}`,
  years: "Years",
  jumpTo: (year: string, value: number) => `${year}: ${many(value, "photo", "photos")}`,
  undated: "undated",

  // a photo
  photo: "Photo",
  previous: "Previous photo",
  next: "Next photo",
  showRegions: "Show regions",
  hideRegions: "Hide regions",
  compareHazy: "Compare with the dehazed version",
  compareHandle: "How much of the dehazed version is shown",
  asTaken: "As taken",
  dehazed: "Dehazed",
  download: "Download the original",
  facts: "Facts",
  taken: "Taken",
  lens: "Lens",
  exposure: "Exposure",
  size: "Size",
  hazeDensity: "Haze",
  place: "Place",
  showOnMap: "Show on the map",
  keywords: "Keywords",
  file: "File",
  copies: (value: number) => many(value, "place", "places"),
  missing: "not on disk now",
  noTags: "No tags yet.",
  tagKeys: "Keys on a tag: y confirms, n rejects, u undoes.",
  addTag: "Add a tag",
  add: "Add",
  confirm: (tag: string) => `Confirm ${tag}`,
  reject: (tag: string) => `Reject ${tag}`,
  undo: "Undo",
  undid: (tag: string) => `Undid what was said of “${tag}”`,
  confirmed: (tag: string) => `“${tag}” confirmed`,
  rejected: (tag: string) => `“${tag}” rejected`,
  byPerson: "a person said so",
  precision: (value: number) => `${percent(value)} likely to be right`,
  rejectedTags: "Rejected",
  scores: "Scores",
  notScored: "Not scored yet.",
  noScores: "Not scored yet. Start a score job under Jobs.",
  measured: "Measured",
  neighbours: "Similar photos",
  regionsFound: "Regions",
  unnamed: (value: number) => many(value, "part without a name", "parts without a name"),
  matchedRegion: (label: string) => (label === "part" ? "matched by a part of it" : `matched by its part “${label}”`),
  photoGone: "This photo is not in the library.",

  // views
  menu: "Views",
  gallery: "Gallery",
  review: "Review tags",
  runs: "Tag runs",
  duplicates: "Duplicates",
  map: "Map",
  jobs: "Jobs",
  library: "Library",
  keys: "Keys",
  theme: { auto: "Colours as the system has them", light: "Light colours", dark: "Dark colours" } as Record<string, string>,

  reviewQuestion: (tag: string) => `Is this “${tag}”?`,
  reviewOpen: (value: number) => (value === 1 ? "1 tag is doubtful" : `${count(value)} tags are doubtful`),
  reviewHint: "Those about which an answer tells most come first. Keys: y yes, n no, Space later, u undo.",
  reviewDone: "Nothing is doubtful.",
  reviewDoneHint: "Tags appear here after a tag job.",
  yes: "Yes",
  no: "No",
  later: "Later",
  open: "Open the photo",

  runsHint: "Each run of tagging can be compared, taken back, or adopted as if you had said it.",
  noRuns: "Nothing was tagged yet.",
  startTagging: "Start a tag job",
  retract: "Take back",
  retractAsk: (tags: number) => `Take back ${many(tags, "tag", "tags")} of this run? What people confirmed or rejected stays.`,
  promote: "Adopt",
  promoteAsk: (tags: number) => `Adopt ${many(tags, "tag", "tags")} of this run as if you had confirmed each?`,
  changedTags: (did: string, tags: number) => `${did === "retract" ? "Took back" : "Adopted"} ${many(tags, "tag", "tags")}`,
  compareRuns: "Compare",
  compareRunsHint: "Choose two runs to see what changed between them.",
  earlier: "Earlier",
  later2: "Later",
  added: "Added",
  removed: "Removed",
  nothingChanged: "No difference between these two runs.",
  runFacts: (photos: number, tags: number) => `${many(tags, "tag", "tags")} on ${many(photos, "photo", "photos")}`,

  duplicatesHint: "Nothing is ever deleted here. The best of each group comes first.",
  noDuplicates: "No duplicates were found.",
  spare: (value: number) => `${bytes(value)} beside the best`,
  kinds: { "": "All", exact: "The same bytes", near: "Nearly the same", burst: "Bursts" } as Record<string, string>,
  groups: (value: number) => many(value, "group", "groups"),
  best: "best",

  noPlaces: "No photo says where it was taken.",
  mapHint: (value: number) => `${many(value, "photo", "photos")} with a place. Coastlines are part of this page; nothing is fetched from elsewhere.`,
  photosHere: (value: number) => `${many(value, "photo", "photos")} here`,
  mapLabel: "Map of where photos were taken",

  noJobs: "No jobs yet.",
  jobsHint: "Long work goes on here, and survives a restart of the service.",
  start: "Start",
  jobKinds: {
    index: "Index folders", tag: "Tag photos", score: "Score photos", export: "Export", "dehaze-batch": "Dehaze photos", "dataset-tag": "Tag a data set",
  } as Record<string, string>,
  jobStates: {
    waiting: "waiting", running: "running", finished: "finished", failed: "failed", cancelled: "cancelled", interrupted: "interrupted",
  } as Record<string, string>,
  newJob: "Start a job",
  folder: "Folder",
  folderHint: "A folder on the server, below one of:",
  folderNone: "The service allows no new folders; it can only bring known ones up to date. Name some in pellucid.toml: serve_roots.",
  allKnown: "Leave empty to bring all known folders up to date.",
  findRegions: "Find parts of photos, too",
  tryOnly: "Only say what would be done",
  vocabulary: "Words to tag with",
  ownWords: "Own words, one on each line",
  minimumPrecision: "Least precision",
  scoreAgain: "Score again what has scores",
  exportFormat: "Format",
  whereOptional: "Condition (optional)",
  stopping: "stopping at a safe point",
  eta: (seconds: number) => `${lasting(seconds)} left`,
  progress: (done: number, total: number | null) => (total === null ? count(done) : `${count(done)} of ${count(total)}`),
  getResult: "Download the result",
  attempts: (value: number) => `begun ${value} times`,
  jobEnded: (job: JobGiven) => `${s.jobKinds[job.kind] ?? job.kind}: ${s.jobStates[job.state] ?? job.state}`,
  outcome: "What came of it",
  seePhotos: "See the photos",
  seeRuns: "See the run",
  noScope: "Your key may only look.",

  // library
  emptyTitle: "No photos yet",
  emptyHint: "Pellucid finds photos in the folders that you index. Originals are only ever read.",
  emptyCommand: "On the command line:",
  statsPhotos: "Photos",
  statsFailures: "Files that could not be read",
  statsEncoder: "Encoder",
  statsRegions: "Finds parts with",
  statsDehaze: "Dehazes",
  statsRuns: "Tag runs",
  statsVersion: "Version",
  roots: "Folders",
  taggedMost: "Most frequent tags",
  noneOf: "none",
  signOut: "Sign out",
  signedIn: (name: string) => `Signed in with the key “${name}”.`,
  signIn: "Sign in",
  signInTitle: "This service asks for a key",
  signInHint: "Whoever runs the service makes one with: pellucid keys create --scope read",
  key: "Key",

  keyList: [
    ["/", "search"], ["← ↑ → ↓", "move through the photos"], ["Enter", "open the photo"], ["m", "more like this photo"], ["Esc", "close"],
    ["f", "filters"], ["r", "regions of the open photo"], ["d", "compare with the dehazed version"], ["y  n  u", "confirm, reject, undo a tag"], ["?", "these keys"],
  ] as readonly (readonly [string, string])[],
};
