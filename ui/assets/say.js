// What the page says, in the language that the server chose for this browser (asr/locales):
// parlanceSay("live.start"), and where one and several differ, parlanceSay("editor.words", { n: 2 }).
// parlanceLang is that language. parlanceTranslated("Loading large-v3.") is a sentence of the server's, in that language if we have it.

[window.parlanceSay, window.parlanceTranslated] = (() => {
  const { lang, texts, said } = JSON.parse(document.getElementById("parlance-texts").textContent);
  window.parlanceLang = lang;
  const plural = new Intl.PluralRules(lang);
  const shown = (value) => (typeof value === "number" ? value.toLocaleString(lang) : value);
  const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => shown(values[name]));
  const say = (key, values = {}) => {
    const [one, several] = texts[key].split("|");
    return filled(several && plural.select(values.n) !== "one" ? several : one, values);
  };

  const pattern = (text) => new RegExp(`^${text.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replace(/\{(\w+)\}/g, "(?<$1>.+?)")}$`);
  const known = said.map(([english, ours]) => [pattern(english), ours]);
  const translated = (sentence = "") => {
    for (const [english, ours] of known) {
      const found = sentence.match(english);
      if (found) return filled(ours, found.groups ?? {});
    }
    return sentence;
  };
  return [say, translated];
})();
