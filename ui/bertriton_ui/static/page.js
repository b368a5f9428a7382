// Asks this page's own server, and writes what it says as text: nothing of an answer is ever read as HTML.
import { EXAMPLES } from "./examples.js";
import { card, showBorders } from "./answer.js";

const ALL = "*"; // every classifier, one answer beside the other
const ENTAILMENT = /^entail/i; // begins a label of models of natural language inference
const find = (id) => document.getElementById(id);
const form = find("question");
let classifiers = [];
let asked = 0; // so that an answer that comes late does not replace a newer one

async function json(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch {
    throw new Error("This page's own server does not answer: is `bertriton ui` still running?");
  }
  const found = await response.json().catch(() => ({ error: `status ${response.status}` }));
  if (!response.ok) throw new Error(found.error);
  return found;
}

function show(problem) {
  find("problem").textContent = problem;
  find("problem").hidden = !problem;
}

function chosen() {
  const name = find("model").value;
  return name === ALL ? classifiers : classifiers.filter((one) => one.name === name);
}

function describe() {
  const models = chosen();
  const about = (one) =>
    `${one.info.labels.join(", ")} · ${one.info.problem_type.replaceAll("_", " ")} · ` +
    `reads ${one.info.max_length} tokens`;
  find("about").textContent = models.length === 1 ? about(models[0]) : "";
  const infers = models.length > 0 && models.every((one) => one.info.labels.some((label) => ENTAILMENT.test(label)));
  find("candidates-field").hidden = !infers;
  togglePair();
}

function togglePair() {
  find("second-field").hidden = !find("is-pair").checked;
  find("second").required = find("is-pair").checked;
}

function fillExamples() {
  for (const example of EXAMPLES) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = example.name;
    button.addEventListener("click", () => {
      find("text").value = example.text;
      find("is-pair").checked = example.second !== undefined;
      find("second").value = example.second ?? "";
      togglePair();
      if (classifiers.length) form.requestSubmit();
    });
    find("examples").append(button);
  }
}

async function load() {
  const found = await json("/api/models");
  classifiers = found.models.filter((one) => one.ready && one.info);
  const waiting = found.models.filter((one) => !classifiers.includes(one)).map((one) => one.name);
  const count = classifiers.length === 1 ? "1 classifier" : `${classifiers.length} classifiers`;
  find("server").textContent =
    `${count} at ${found.server}` + (waiting.length ? `; not ready: ${waiting.join(", ")}` : "");
  const select = find("model");
  select.replaceChildren(...classifiers.map((one) => new Option(one.name)));
  if (classifiers.length > 1) select.append(new Option("all, one beside the other", ALL));
  if (classifiers.some((one) => one.name === found.preferred)) select.value = found.preferred;
  describe();
  if (!classifiers.length) throw new Error(`No classifier at ${found.server} is ready.`);
}

function question(model) {
  const candidates = find("candidates-field").hidden ? [] : find("candidates").value.split(",");
  return {
    model,
    text: find("text").value,
    second: find("is-pair").checked ? find("second").value : null,
    truncation: find("truncation").value || null,
    candidates: [...new Set(candidates.map((label) => label.trim()).filter(Boolean))],
  };
}

async function ask() {
  const turn = ++asked;
  const answers = find("answers");
  show("");
  answers.setAttribute("aria-busy", "true");
  find("ask").disabled = true;
  try {
    if (!classifiers.length) await load();
    const options = { method: "POST", headers: { "Content-Type": "application/json" } };
    const asking = chosen().map((one) =>
      json("/api/classify", { ...options, body: JSON.stringify(question(one.name)) }),
    );
    const outcomes = await Promise.allSettled(asking);
    if (turn !== asked) return;
    const failed = outcomes.filter((one) => one.status === "rejected").map((one) => one.reason.message);
    show([...new Set(failed)].join(" "));
    answers.replaceChildren(...outcomes.filter((one) => one.value).map((one) => card(one.value)));
    showBorders(answers);
    find("result").scrollIntoView({ block: "nearest" });
  } catch (error) {
    show(error.message);
  } finally {
    if (turn === asked) {
      answers.setAttribute("aria-busy", "false");
      find("ask").disabled = false;
    }
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
find("model").addEventListener("change", describe);
find("is-pair").addEventListener("change", togglePair);
fillExamples();
togglePair();
load().catch((error) => {
  find("server").textContent = "No server yet";
  show(error.message);
});
