/** Dark or light, as the system has it unless somebody chose. */
import { effect, signal } from "@preact/signals";

export type Theme = "auto" | "light" | "dark";
const NAME = "pellucid-theme";
const next: Record<Theme, Theme> = { auto: "light", light: "dark", dark: "auto" };

function kept(): Theme {
  try {
    const found = localStorage.getItem(NAME);
    return found === "light" || found === "dark" ? found : "auto";
  } catch {
    return "auto"; // storage is refused
  }
}

export const theme = signal<Theme>(kept());

effect(() => {
  document.documentElement.dataset.theme = theme.value;
  try {
    localStorage.setItem(NAME, theme.value);
  } catch {
    // the choice lasts as long as the page
  }
});

export const turnTheme = () => (theme.value = next[theme.value]);
