// Texts to begin with; the long one is over the limit of most models.
const PLOT = [
  "The film opens on a ferry in the rain, and for a quarter of an hour nobody says a word.",
  "A lighthouse keeper finds a letter that was posted twenty years ago and decides to answer it.",
  "His sister, who has not spoken to him since their father died, reads the answer by mistake.",
  "From there the story moves between the island and the town, always a little too slowly.",
  "The camera stays with faces long after the talking has ended, which some will love.",
  "Two policemen come and go, and one of them steals every scene that he is in.",
  "There is a wedding, a storm, and a long quarrel about a boat that neither of them can sail.",
  "The music is a single piano that seems to have been left outside for the winter.",
];

export const EXAMPLES = [
  { name: "Praise", text: "What a lovely film: warm, funny, and beautifully acted from the first scene to the last." },
  { name: "Complaint", text: "Two hours of my life, gone. The plot makes no sense and nobody seems to care." },
  { name: "Mixed", text: "The pictures are stunning and the score is superb, but the story falls apart halfway through." },
  {
    name: "A pair",
    text: "A man is playing a guitar on the street while people walk past.",
    second: "Somebody is making music.",
  },
  {
    name: "A long text",
    text: `I wanted to like this. ${Array(5).fill(PLOT.join(" ")).join("\n\n")} In the end I left angry: a dull, empty, endless bore.`,
  },
];
