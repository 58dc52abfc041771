/**
 * The settings of a run as the command that a terminal takes: what `toBody` makes for the console,
 * by the names of flags.
 *
 * @param ownUrl where a run goes that names no target; `null` leaves it to the generator.
 */
export function commandOf(
  body: Readonly<Record<string, unknown>>,
  ownUrl: string | null = null,
): string {
  const { count, url = ownUrl, ...settings } = body;
  const words = ['python', '-m', 'loadgen', textOf(count)];
  if (typeof url === 'string') words.push(url);
  for (const [name, value] of Object.entries(settings)) {
    const flag = `--${name.replaceAll('_', '-')}`;
    if (value === true) words.push(flag);
    else if (value !== false && value !== null) {
      // Joined, for a value may begin with a dash.
      const values: readonly unknown[] = Array.isArray(value) ? value : [value];
      for (const one of values) words.push(`${flag}=${textOf(one)}`);
    }
  }
  return words.map(quoted).join(' ');
}

/** For a POSIX shell: in quotes, unless nothing in it means anything to one. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
