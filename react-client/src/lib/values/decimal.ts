/** A number as JSON writes it: digits without zeros at either end, and the power of ten. */
interface Decimal {
  readonly sign: '' | '-';
  readonly digits: string;
  readonly exponent: bigint;
}

/** A power of ten with more digits is no number that anybody means. */
const LONGEST_POWER = 20;

/** Longer ones are not computed with. */
const LONGEST_EXACT = 2_000;

const PARTS = /^([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d+))?$/i;

function readDecimal(text: string): Decimal | null {
  const parts = PARTS.exec(text);
  if (parts === null) return null;
  const [, sign, whole = '', fraction = '', power = '0'] = parts;
  if (power.length > LONGEST_POWER) return null;
  const all = (whole + fraction).replace(/^0+/, '');
  const digits = withoutZerosAtEnd(all);
  if (digits === '') return { sign: '', digits: '0', exponent: 0n };
  const exponent = BigInt(power) - BigInt(fraction.length) + BigInt(all.length - digits.length);
  return { sign: sign === '-' ? '-' : '', digits, exponent };
}

/** No expression: it would begin anew at each zero of a long number. */
function withoutZerosAtEnd(digits: string): string {
  let end = digits.length;
  while (digits[end - 1] === '0') end -= 1;
  return digits.slice(0, end);
}

/** The same text for the same number, however it is written: `1.50e1` and `15` are `15e0`. */
export function canonicalNumber(text: string): string {
  const read = readDecimal(text);
  return read === null ? text : `${read.sign}${read.digits}e${String(read.exponent)}`;
}

/** What a program that has only doubles makes of a number, where that is another; else `null`. */
export function asDoubleIfOther(text: string): string | null {
  const read = readDecimal(text);
  if (read === null) return null;
  const double = String(Number(text));
  return canonicalNumber(double) === canonicalNumber(text) ? null : double;
}

/**
 * Below, equal or above zero as `a` is to `b`, exact also beyond 2^53. Of numbers that are beyond
 * doubles, or longer than anybody reads, it tells only whether they are equal.
 */
export function compareNumbers(a: string, b: string): number {
  const [first, second] = [Number(a), Number(b)];
  if (first !== second) return first < second ? -1 : 1;
  const [one, other] = [readDecimal(a), readDecimal(b)];
  if (one === null || other === null) return a < b ? -1 : Number(a > b);
  if (canonicalNumber(a) === canonicalNumber(b)) return 0;
  if (!Number.isFinite(first) || Math.max(a.length, b.length) > LONGEST_EXACT) return 1;
  // Doubles that are equal are of one magnitude: nothing here becomes long.
  const exponent = one.exponent < other.exponent ? one.exponent : other.exponent;
  const scaled = ({ sign, digits, exponent: own }: Decimal) =>
    BigInt(sign + digits) * 10n ** (own - exponent);
  const difference = scaled(one) - scaled(other);
  return difference < 0n ? -1 : Number(difference > 0n);
}
