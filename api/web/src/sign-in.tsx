/** Asks for a key where the service needs one. The key itself is kept by no script: the service sets a cookie. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { api, keyNeeded, said } from "./api";
import { renewed } from "./listing";
import { s } from "./strings";

export function SignIn() {
  const box = useRef<HTMLDialogElement>(null);
  const key = useSignal("");
  const fault = useSignal("");
  useEffect(() => box.current?.showModal(), []);
  const send = async () => {
    try {
      fault.value = "";
      await api.signIn(key.value.trim());
      keyNeeded.value = false;
      renewed.value += 1;
    } catch (error) {
      fault.value = said(error);
    }
  };
  return (
    <dialog ref={box} class="ask" aria-label={s.signInTitle} onCancel={(event) => event.preventDefault()}>
      <form onSubmit={(event) => (event.preventDefault(), void send())}>
        <h2>{s.signInTitle}</h2>
        <p class="hint">{s.signInHint}</p>
        <label>{s.key}<input type="password" name="key" autocomplete="current-password" required value={key.value} onInput={(event) => (key.value = event.currentTarget.value)} /></label>
        {fault.value ? <p class="fault" role="alert">{fault.value}</p> : null}
        <div class="answers"><button class="button primary" type="submit" disabled={!key.value.trim()}>{s.signIn}</button></div>
      </form>
    </dialog>
  );
}
