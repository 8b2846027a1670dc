// What the page says, in the language that the server chose for this browser (asr/locales):
// say("live.start"); say("units.of", { n: 2 }) where one and several differ: "one|several".

window.parlanceSay = (() => {
  const { lang, texts } = JSON.parse(document.getElementById("parlance-texts").textContent);
  const many = new Intl.PluralRules(lang);
  return (key, values = {}) => {
    const [one, several] = texts[key].split("|"), chosen = several && many.select(values.n) !== "one" ? several : one;
    return chosen.replace(/\{(\w+)\}/g, (_, name) => (typeof values[name] === "number" ? values[name].toLocaleString(lang) : values[name]));
  };
})();
