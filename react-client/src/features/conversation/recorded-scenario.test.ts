import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { type LogLine, scenarioOfLog } from './recorded-scenario';

interface Recorded {
  readonly name: string;
  readonly source: string;
  readonly lines: readonly LogLine[];
  readonly script: readonly string[];
  readonly secrets: Readonly<Record<string, string>>;
}

const TABLE = JSON.parse(
  readFileSync(new URL('../../../../tests/recorded.json', import.meta.url), 'utf8'),
) as { readonly logs: readonly Recorded[] };

describe('a log as a scenario', () => {
  it.each(TABLE.logs)('is what `loadgen record` makes of $name', (log) => {
    const found = scenarioOfLog(log.lines, log.source);
    expect(found?.script.split('\n')).toEqual(log.script);
    expect(Object.fromEntries(found?.secrets ?? [])).toEqual(log.secrets);
  });

  it('is none where nothing was said', () => {
    const opened = { type: 'opened', at_ms: 0, details: { url: 'ws://h/' } };
    expect(scenarioOfLog([opened], 'x')).toBeNull();
    expect(scenarioOfLog([], 'x')).toBeNull();
  });
});
