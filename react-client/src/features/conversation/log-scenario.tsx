import { useState } from 'react';

import ScenarioDialog, { type Scenario } from '../../components/scenario-dialog';
import { formatCount } from '../../lib/figures';
import type { ExportedEntry } from './export-log';
import { type LogLine, scenarioOfLog } from './recorded-scenario';

interface LogScenarioProps {
  entries: number;
  /** What an export says of the last of them, so many. */
  linesOf: (last: number) => readonly ExportedEntry[];
  /** Where the connection goes. */
  address: string;
  onClose: () => void;
}

/** A script that is longer is no script that anybody reads. */
const MOST_ENTRIES = 5_000;

/** The log as a script of the generator, as it was when it was asked for. */
export default function LogScenario(props: LogScenarioProps) {
  const { entries, linesOf, address, onClose } = props;
  const [scenario] = useState(() => make(entries, linesOf(MOST_ENTRIES), address));
  return <ScenarioDialog scenario={scenario} onClose={onClose} />;
}

function make(
  entries: number,
  exported: readonly ExportedEntry[],
  address: string,
): Scenario | string {
  const url = readUrl(address);
  const lines: LogLine[] = [...exported];
  // A log that was cleared, or that has dropped its beginning, does not say where it went.
  if (lines[0]?.type !== 'opened') {
    const at_ms = lines[0]?.at_ms ?? 0;
    lines.unshift({ type: 'opened', at_ms, details: { url: address } });
  }
  const made = scenarioOfLog(lines, `chat with ${url?.host ?? 'a server'}`);
  if (made === null) return 'Nothing was said yet.';
  const base = url === null ? 'wss://…' : `${url.protocol}//${url.host}/`;
  const names = [...made.script.matchAll(/^async def (\w+)/gm)].map(([, name]) => name ?? '');
  const file = names.length === 1 ? 'recorded.py' : `recorded.py:${names.at(-1) ?? ''}`;
  const secrets = [...made.secrets];
  return {
    fileName: 'recorded.py',
    script: made.script,
    commands: [`python -m loadgen 1 ${base} --scenario ${file} --trace`],
    notes: [
      ...(secrets.length > 0
        ? ['What looks like a secret is in secrets.csv, which has to be beside it.']
        : []),
      ...(entries > exported.length
        ? [`Of the log, its last ${formatCount(MOST_ENTRIES)} entries.`]
        : []),
      ...(names.length > 1 ? ['Each connection is a user of its own kind.'] : []),
    ],
    ...(secrets.length > 0 && {
      rows: {
        fileName: 'secrets.csv',
        text: [secrets.map(([name]) => name), secrets.map(([, value]) => value)]
          .map((cells) => `${cells.map(csvCell).join(',')}\r\n`)
          .join(''),
      },
    }),
  };
}

function readUrl(address: string): URL | null {
  try {
    return new URL(address);
  } catch {
    return null;
  }
}

/** As it is: nobody computes with it, and the generator reads it. */
function csvCell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
