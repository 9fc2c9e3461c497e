// What the page says: notices, questions, and numbers as a reader wants them.

const english = new Intl.NumberFormat("en");

/** 150000 as `150,000`. */
export const number = (value) => english.format(Math.round(value));

/** Bytes as `1.4 MB`. */
export function bytes(value) {
  const units = ["B", "kB", "MB", "GB"];
  let at = 0;
  while (value >= 999.5 && at < units.length - 1) {
    value /= 1000;
    at += 1;
  }
  return `${at && value < 99.95 ? value.toFixed(1) : Math.round(value)} ${units[at]}`;
}

/** Milliseconds as `12 ms` or `1.2 s`. */
export function duration(millis) {
  if (millis >= 999.5) return `${(millis / 1000).toFixed(1)} s`;
  return `${millis < 9.95 ? millis.toFixed(1) : Math.round(millis)} ms`;
}

/**
 * Shows a notice until it is closed. `kind` is good, warn or error; `details` are shown on demand; `button` is a label
 * with an action.
 */
export function notice(kind, title, text, details, button) {
  const box = document.createElement("div");
  box.className = `notice ${kind}`;
  const body = box.appendChild(document.createElement("div"));
  body.appendChild(document.createElement("strong")).textContent = title;
  body.appendChild(document.createElement("p")).textContent = text;
  if (details) {
    const more = body.appendChild(document.createElement("details"));
    more.appendChild(document.createElement("summary")).textContent = "The report";
    more.appendChild(document.createElement("pre")).textContent = JSON.stringify(details, null, 2);
  }
  if (button) box.appendChild(buttonOf(button.label, () => (box.remove(), button.action())));
  const close = box.appendChild(buttonOf("×", () => box.remove()));
  close.className = "close";
  close.ariaLabel = "Close this notice";
  const notices = document.getElementById("notices");
  notices.prepend(box);
  while (notices.children.length > 3) notices.lastChild.remove();
  return box;
}

/** Shows an error of the store, whose message says what to do. */
export function noticeOfError(title, error) {
  return notice("error", title, error.code ? `${error.message} (${error.code})` : String(error));
}

/** Asks a question; fulfilled with whether the answer was yes. */
export function ask(text, yes) {
  const dialog = document.getElementById("ask");
  document.getElementById("ask-text").textContent = text;
  document.getElementById("ask-yes").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((answer) => {
    dialog.addEventListener("close", () => answer(dialog.returnValue === "yes"), { once: true });
  });
}

function buttonOf(label, action) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = label;
  button.addEventListener("click", action);
  return button;
}
