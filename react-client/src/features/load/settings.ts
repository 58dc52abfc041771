import type { FieldName } from './plan-form';
import told from './settings.json';

/** What the form says of a setting: as `--help` does, for it is made from the same table. */
export interface Setting {
  readonly kind: string;
  /** As a user would write it; empty if there is none. */
  readonly default: string;
  readonly help: string;
}

/** Made by scripts/settings_reference.py. */
const SETTINGS: Readonly<Partial<Record<string, Setting>>> = told;

/** How values of a kind are written. */
const SUCH_AS: Readonly<Partial<Record<string, string>>> = {
  COUNT: '10k',
  DURATION: '30s',
  RATE: '100/s',
  SIZE: '1KiB',
};

/** A setting of a run; `drive` is none, but several. */
export function settingOf(field: FieldName): Setting | null {
  return SETTINGS[field] ?? null;
}

/** How its value is written; `undefined` where that is plain. */
export function hintOf(field: FieldName): string | undefined {
  const example = SUCH_AS[settingOf(field)?.kind ?? ''];
  return example === undefined ? undefined : `such as ${example}`;
}
