// What accepting a suggestion does to a text, and what it saves. The same rules as nwp.suggest.composing:
// a test holds the two together.

const WORD_REVERSED = /^['’]?[\p{L}\p{N}]+(?:['’][\p{L}\p{N}]+)*/u;
const NEEDS_SPACE = new Set(",.;:!?…)]}»”、。");
export const TIGHT = ",.!?";

// The text before the half-typed word, and that word.
export function splitTyped(text) {
  const reversed = Array.from(text).reverse().join("");
  const cut = text.length - (WORD_REVERSED.exec(reversed)?.[0].length ?? 0);
  return [text.slice(0, cut), text.slice(cut)];
}

// The text with a suggested word in place of the half-typed one, or after it, and a space.
export function accept(text, word) {
  const [before, typed] = splitTyped(text);
  const last = Array.from(before).at(-1) ?? "";
  const gap = !typed && (NEEDS_SPACE.has(last) || /^\p{So}$/u.test(last)) ? " " : "";
  return `${before}${gap}${word} `;
}

// Does a suggested word go on with what is typed? One that mends a slip does not.
function goesOn(text, word) {
  const plain = (part) => part.toLowerCase().replaceAll("’", "'");
  return plain(word).startsWith(plain(splitTyped(text)[1]));
}

// What to show in grey behind the text: the rest of the best word; nothing where it takes the place of what is typed.
export function ghost(text, words) {
  return words.length && goesOn(text, words[0]) ? accept(text, words[0]).slice(text.length).trimEnd() : "";
}

// The message being typed: the accepts that still stand, and the keys spent on accepting.
export class Draft {
  accepts = [];
  keys = 0;

  accepted(before, after) {
    this.accepts.push({ before, after });
    this.keys += 1;
  }

  // Was the last thing that happened to this text an accept?
  just(text) {
    return this.accepts.at(-1)?.after === text;
  }

  spent() {
    this.keys += 1;
  }

  // Keep the accepts whose word still stands in the text, as do all words before it.
  edited(text) {
    const kept = [];
    for (const { before, after } of this.accepts) {
      const stands = text.startsWith(after) ? after : after.replace(/ $/, "");
      if (!text.startsWith(stands)) break;
      kept.push({ before, after: stands });
    }
    this.accepts = kept;
  }

  // Keystrokes saved; below zero when accepting cost more than it brought.
  get saved() {
    const length = (text) => Array.from(text).length;
    return this.accepts.reduce((sum, a) => sum + length(a.after) - length(a.before), 0) - this.keys;
  }
}
