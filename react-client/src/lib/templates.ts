/**
 * Fill in templates, with the words of the generator's own: `{conn}`, `{seq}`, `{now}`, `{random}`
 * and `{room}`. `{{token}}` is a variable; `{{seq}}` stands for the text `{seq}`, as there, unless
 * there is a variable of that name. All other braces, as in JSON, are part of the text.
 */
const IS_WORD = /^(?:conn|seq|now|random|room)$/;
/** A variable or an escaped word in double braces; or a word. */
const BRACES = /\{\{\s*([$A-Za-z_][\w.-]*)\s*\}\}|\{(conn|seq|now|random|room)\}/g;
const VARIABLE_NAME = /^[A-Za-z_][\w.-]*$/;

/** What a connection's templates are filled with. */
export interface Fillings {
  /** By their names. A value may name further variables. */
  readonly variables: ReadonlyMap<string, string>;
  /** The number of the connection, from 0. */
  readonly conn: number;
}

export type Filled =
  | { readonly ok: true; readonly text: string }
  /** `problem` is one line. */
  | { readonly ok: false; readonly problem: string };

/** Characters of all that is filled in: values that name each other can grow without end. */
const MOST_FILLED = 4_000_000;

/** Tell whether a variable can have this name. */
export function isVariableName(name: string): boolean {
  return VARIABLE_NAME.test(name);
}

/** Tell whether there is something to fill in. */
export function isTemplate(text: string): boolean {
  return text.search(BRACES) !== -1;
}

/** List the variables that a text names, each once; the words of the generator are none. */
export function variablesIn(text: string): readonly string[] {
  const names = [...text.matchAll(BRACES)].flatMap(([, name]) =>
    name === undefined || IS_WORD.test(name) ? [] : [name],
  );
  return [...new Set(names)];
}

class Unfilled extends Error {}

/**
 * Fill in what stays the same for a connection: variables, `{conn}` and `{room}`. What is left is
 * for `fillWords`: values are text, so words in them come out of it as they are.
 */
export function fillVariables(text: string, { variables, conn }: Fillings): Filled {
  const values = new Map<string, string>();
  let filled = 0;

  const valueOf = (name: string, within: readonly string[]): string => {
    const known = values.get(name);
    if (known !== undefined) return known;
    const value = variables.get(name);
    if (value === undefined) throw new Unfilled(unknown([name]));
    if (within.includes(name)) {
      throw new Unfilled(`{{${name}}} names itself: ${[...within, name].join(' → ')}.`);
    }
    const whole = value.replace(BRACES, (braces, inner?: string) =>
      inner === undefined
        ? `{${braces}}`
        : isEscape(inner)
          ? braces
          : take(valueOf(inner, [...within, name])),
    );
    values.set(name, whole);
    return whole;
  };
  const isEscape = (name: string) => IS_WORD.test(name) && !variables.has(name);
  const take = (value: string): string => {
    filled += value.length;
    if (filled > MOST_FILLED) throw new Unfilled('The variables’ values make this too long.');
    return value;
  };

  const missing = variablesIn(text).filter((name) => !variables.has(name));
  if (missing.length > 0) return { ok: false, problem: unknown(missing) };
  try {
    return {
      ok: true,
      text: text.replace(BRACES, (braces, name?: string, word?: string) => {
        if (name !== undefined) return isEscape(name) ? braces : take(valueOf(name, []));
        return word === 'conn' ? String(conn) : word === 'room' ? '0' : braces;
      }),
    };
  } catch (error) {
    if (error instanceof Unfilled) return { ok: false, problem: error.message };
    throw error;
  }
}

/** Fill in what differs from message to message; `seq` is the message's number. */
export function fillWords(text: string, seq: number, unixMs = Date.now()): string {
  return text.replace(BRACES, (braces, escaped?: string, word?: string) => {
    if (escaped !== undefined) return IS_WORD.test(escaped) ? `{${escaped}}` : braces;
    if (word === 'seq') return String(seq);
    if (word === 'now') return String(unixMs);
    if (word === 'random') return String(Math.floor(Math.random() * 2 ** 32));
    return braces;
  });
}

function unknown(names: readonly string[]): string {
  const listed = names.map((name) => `{{${name}}}`).join(', ');
  return names.length === 1
    ? `${listed} is no variable of the chosen environment.`
    : `${listed} are no variables of the chosen environment.`;
}
