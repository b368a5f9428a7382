// One answer as a card: what the model says, each label's bar, how long the text is, and what was read of it.
const MULTI_LABEL = "multi_label_classification";
const REGRESSION = "regression";

const WAYS = {
  head: "its start",
  tail: "its end",
  head_tail: "its start and its end",
  windows: "all of it, in windows",
};

function element(name, { text, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}

function percent(score) {
  return `${(100 * score).toFixed(1)} %`;
}

function said(answer) {
  if (answer.value !== null) return answer.value.toFixed(4);
  if (answer.problem_type === REGRESSION) return Object.values(answer.scores).map((value) => value.toFixed(4)).join("  ");
  if (answer.problem_type === MULTI_LABEL) return answer.labels.join(", ") || "(none)";
  return answer.label;
}

function scoreLine([name, score], answer) {
  const isChosen = answer.labels.includes(name);
  const track = element("span", { className: "track", ariaHidden: "true" }, element("span", { className: "bar" }));
  // An attribute would be inline style, which this page's own policy forbids.
  track.style.display = "block";
  track.firstChild.style.display = "block";
  track.firstChild.style.width = `${100 * Math.min(1, Math.max(0, score))}%`;
  return element(
    "li",
    {},
    element("span", { className: isChosen ? "name chosen" : "name", text: name }),
    track,
    element("span", { className: "share", text: percent(score) }),
  );
}

function scores(answer) {
  if (answer.problem_type === REGRESSION) return "";
  const best = Object.entries(answer.scores).sort((one, other) => other[1] - one[1]);
  const list = element("ul", { className: "scores" }, ...best.map((entry) => scoreLine(entry, answer)));
  list.setAttribute("aria-label", "Probability of each label");
  list.setAttribute("role", "list");
  return list;
}

function fact(name, value) {
  return element("div", {}, element("dt", { text: name }), element("dd", { text: value }));
}

function tokens(answer) {
  const count = answer.token_count.toLocaleString("en");
  const limit = answer.max_length.toLocaleString("en");
  if (answer.truncated) return `${count}, ${limit} of them read`;
  return answer.windows > 1 ? `${count}, ${limit} at once` : `${count} of at most ${limit}`;
}

function facts(answer) {
  const found = [
    fact("Tokens", tokens(answer)),
    fact("Time", `${answer.milliseconds.toFixed(1)} ms`),
  ];
  if (answer.windows > 1) found.push(fact("Windows", String(answer.windows)));
  if (answer.truncated) found.push(fact("Read", WAYS[answer.truncation] ?? answer.truncation));
  return element("dl", {}, ...found);
}

function readText(parts, label) {
  const box = element("div", { className: "read-text", tabIndex: 0 });
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", label);
  for (const part of parts) {
    if (part.is_read) {
      box.append(part.text);
    } else {
      box.append(
        element("span", { className: "spoken", text: " [not read: " }),
        element("s", { className: "unread", text: part.text }),
        element("span", { className: "spoken", text: "] " }),
      );
    }
  }
  return box;
}

function texts(answer) {
  if (!answer.truncated) return "";
  const words = answer.parts.length
    ? "The text is too long for the model. What is struck out was not read:"
    : "The text is too long for the model: a part of it was not read.";
  const labels = answer.parts.length > 1 ? ["First text as it was read", "Second text as it was read"] : ["Text as it was read"];
  return element(
    "div",
    { className: "texts" },
    element("p", { text: words }),
    ...answer.parts.map((parts, place) => readText(parts, labels[place])),
  );
}

// Scrolls each text to the first border of what was read, which else is far down in a long one.
export function showBorders(answers) {
  for (const box of answers.querySelectorAll(".read-text")) {
    const unread = box.querySelector(".unread");
    const border = unread?.previousElementSibling.previousSibling ? unread.offsetTop : unread?.nextElementSibling.offsetTop;
    box.scrollTop = (border ?? 0) - box.clientHeight / 2;
  }
}

// Of numbers the names stand beside the model's: they have no bars.
function heading(answer) {
  if (answer.problem_type !== REGRESSION) return answer.model;
  return `${answer.model} · ${Object.keys(answer.scores).join("  ")}`;
}

export function card(answer) {
  return element(
    "article",
    {},
    element("h3", { className: "of", text: heading(answer) }),
    element("p", { className: "said", text: said(answer) }),
    scores(answer),
    facts(answer),
    texts(answer),
  );
}
