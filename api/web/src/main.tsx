/** The page: a header, the view that the address names, and an open photo over it. */
import { signal } from "@preact/signals";
import { render, type ComponentType } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { keyNeeded } from "./api";
import { Detail, typingIn } from "./detail";
import { filtersOpen } from "./filters";
import { Gallery } from "./gallery";
import { Icon } from "./icons";
import { followLibrary } from "./library";
import { follow } from "./listing";
import { Failed, Notes } from "./notes";
import { followLinks, place, to } from "./place";
import { DropTarget, SearchBar } from "./search-bar";
import { SignIn } from "./sign-in";
import { s } from "./strings";
import { theme, turnTheme } from "./theme";
import { Duplicates } from "./views/duplicates";
import { Jobs } from "./views/jobs";
import { Library } from "./views/library";
import { Review } from "./views/review";
import { Runs } from "./views/runs";
import "./styles/base.css";
import "./styles/header.css";
import "./styles/gallery.css";
import "./styles/detail.css";
import "./styles/views.css";

const VIEWS = [["/", s.gallery], ["/map", s.map], ["/review", s.review], ["/runs", s.runs], ["/duplicates", s.duplicates], ["/jobs", s.jobs], ["/library", s.library]] as const;

const keysOpen = signal(false);

function Header() {
  const now = place.value.under;
  const menu = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    menu.current?.removeAttribute("open");
  }, [place.value]);
  useEffect(() => {
    const away = (event: Event) => {
      const inside = menu.current?.contains(event.target as Node);
      if (event instanceof KeyboardEvent ? event.key === "Escape" : !inside) menu.current?.removeAttribute("open");
    };
    addEventListener("pointerdown", away);
    addEventListener("keydown", away);
    return () => {
      removeEventListener("pointerdown", away);
      removeEventListener("keydown", away);
    };
  }, []);
  return (
    <header class="header">
      <a class="skip" href="#photos" onClick={(event) => { event.preventDefault(); document.querySelector<HTMLElement>('.grid [tabindex="0"], #main')?.focus(); }}>{s.skip}</a>
      <a class="brand" href={to("/")} aria-label={`${s.product}: ${s.home}`}>
        <svg viewBox="0 0 40 28" aria-hidden="true"><circle cx="15" cy="14" r="11" /><circle cx="25" cy="14" r="11" /></svg><span>{s.product}</span>
      </a>
      <SearchBar />
      <details class="menu" ref={menu}>
        <summary class="quiet" aria-label={s.menu} title={s.menu}><Icon name="menu" /></summary>
        <nav aria-label={s.menu}>
          {VIEWS.map(([href, name]) => <a key={href} href={to(href)} aria-current={now === href || (href !== "/" && now.startsWith(href)) ? "page" : undefined}>{name}</a>)}
          <hr />
          <button type="button" onClick={() => ((keysOpen.value = true), menu.current?.removeAttribute("open"))}>{s.keys} <kbd>?</kbd></button>
          <button type="button" onClick={turnTheme}><Icon name={theme.value === "auto" ? "auto" : theme.value === "light" ? "sun" : "moon"} />{s.theme[theme.value]}</button>
        </nav>
      </details>
    </header>
  );
}

function KeyList() {
  const box = useRef<HTMLDialogElement>(null);
  useEffect(() => box.current?.showModal(), []);
  return (
    <dialog ref={box} class="ask keys" aria-label={s.keys} onClose={() => (keysOpen.value = false)} onClick={(event) => event.target === box.current && box.current?.close()}>
      <h2>{s.keys}</h2>
      <dl>{s.keyList.map(([key, words]) => <div key={key}><dt><kbd>{key}</kbd></dt><dd>{words}</dd></div>)}</dl>
      <div class="answers"><button class="button" type="button" onClick={() => box.current?.close()}>{s.close}</button></div>
    </dialog>
  );
}

/** The map is large, and only loaded when somebody looks at it. */
function LateMap() {
  const [view, setView] = useState<{ Map: ComponentType } | null>(null);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    import("./views/map").then((found) => setView({ Map: found.default }), setError);
  }, []);
  if (error) return <Failed error={error} again={() => location.reload()} />;
  return view ? <view.Map /> : <div class="view"><p class="hint" role="status">{s.loading} …</p></div>;
}

function View() {
  const { under } = place.value;
  if (under.startsWith("/jobs")) return <Jobs chosen={under.split("/")[2]} />;
  if (under.startsWith("/review")) return <Review />;
  if (under.startsWith("/runs")) return <Runs />;
  if (under.startsWith("/duplicates")) return <Duplicates />;
  if (under.startsWith("/map")) return <LateMap />;
  if (under.startsWith("/library")) return <Library />;
  return <Gallery />;
}

function App() {
  const open = /^\/photo\/([0-9a-f]+)$/.exec(place.value.path)?.[1];
  useEffect(() => {
    const keys = (event: KeyboardEvent) => {
      if (event.defaultPrevented || typingIn(event.target) || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
      if (event.key === "/") document.querySelector<HTMLInputElement>("#search")?.select();
      else if (event.key === "?") keysOpen.value = true;
      else if (event.key === "f" && place.value.under === "/") filtersOpen.value = !filtersOpen.value;
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", keys);
    addEventListener("click", followLinks);
    return () => {
      removeEventListener("keydown", keys);
      removeEventListener("click", followLinks);
    };
  }, []);
  return (
    <>
      <Header />
      <main id="main" tabIndex={-1}><View /></main>
      {open ? <Detail digest={open} /> : null}
      {keysOpen.value ? <KeyList /> : null}
      {keyNeeded.value ? <SignIn /> : null}
      <DropTarget />
      <Notes />
    </>
  );
}

follow();
followLibrary();
render(<App />, document.querySelector("#page") as HTMLElement);
