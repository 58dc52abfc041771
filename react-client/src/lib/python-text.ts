/** Write values as Python's `repr` does, so that a script of the page reads as one of the generator. */

/** What Python has no letter for: controls, what has no shape, what no code point stands for. */
const UNPRINTABLE = /[\p{C}\p{Z}]/u;
const SHORT: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

/** `it's` → `"it's"`, with escapes for what cannot be seen. */
export function pythonString(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  let written = '';
  for (const letter of text) {
    if (letter === quote) written += `\\${letter}`;
    else if (SHORT[letter] !== undefined) written += SHORT[letter];
    else if (letter !== ' ' && UNPRINTABLE.test(letter)) written += escaped(letter);
    else written += letter;
  }
  return quote + written + quote;
}

function escaped(letter: string): string {
  const code = letter.codePointAt(0) ?? 0;
  const digits = code.toString(16);
  if (code < 0x100) return `\\x${digits.padStart(2, '0')}`;
  return code < 0x10000 ? `\\u${digits.padStart(4, '0')}` : `\\U${digits.padStart(8, '0')}`;
}

/** A number of JSON, as it was written there: whole ones keep all of their digits. */
export function pythonNumber(source: string): string {
  if (/^-?\d+$/.test(source)) return source === '-0' ? '0' : source;
  const value = Number(source);
  if (Object.is(value, -0)) return '-0.0';
  // As few digits as tell it from its neighbours: both languages have the same rule.
  const [digits = '', power = '0'] = value.toExponential().split('e');
  const exponent = Number(power);
  if (exponent >= 16 || exponent < -4) {
    const sign = exponent < 0 ? '-' : '+';
    return `${digits}e${sign}${String(Math.abs(exponent)).padStart(2, '0')}`;
  }
  const plain = String(value);
  // JavaScript writes it plainly down to 1e-6 and up to 1e21: also where Python does.
  return plain.includes('.') ? plain : `${plain}.0`;
}

/** To two digits behind the point; what is half-way between two goes to the even one. */
export function pythonHundredths(value: number): string {
  const isHalfway = Number.isInteger(value * 8) && !Number.isInteger(value * 4);
  const below = Math.floor(value * 100);
  return isHalfway && below % 2 === 0 ? (below / 100).toFixed(2) : value.toFixed(2);
}
