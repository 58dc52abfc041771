import type { Pattern } from '../../lib/automation';

/** Text, JSON or hex digits, as in the composer. */
export const MODES = ['text', 'json', 'binary'] as const;
export type Mode = (typeof MODES)[number];

export interface SavedMessage {
  /** May be empty: then the text stands for it. */
  readonly name: string;
  readonly mode: Mode;
  readonly text: string;
}

export interface SavedHeader {
  readonly name: string;
  readonly value: string;
  /** Whether an export leaves its value out. */
  readonly secret: boolean;
}

export interface SavedRule {
  readonly when: Pattern;
  readonly send: SavedMessage;
}

/** What the connection sends by itself; nothing of it while it is not on. */
export interface SavedAutomation {
  readonly on: boolean;
  readonly onOpen: readonly SavedMessage[];
  readonly heartbeat: { readonly everySeconds: number; readonly message: SavedMessage } | null;
  readonly rules: readonly SavedRule[];
}

/** What a connection is, apart from where it is kept. */
export interface ConnectionContent {
  readonly name: string;
  /** As typed, variables and all. */
  readonly address: string;
  readonly subprotocols: readonly string[];
  /** For dialling through the server: browsers let no page set any. */
  readonly headers: readonly SavedHeader[];
  readonly messages: readonly SavedMessage[];
  readonly automation: SavedAutomation;
}

export interface SavedVariable {
  readonly name: string;
  readonly value: string;
  /** Whether an export leaves its value out. */
  readonly secret: boolean;
}

export interface EnvironmentContent {
  readonly name: string;
  readonly variables: readonly SavedVariable[];
}

/** What one file brings along, or takes away. */
export interface Collection {
  readonly name: string;
  readonly connections: readonly ConnectionContent[];
  readonly environments: readonly EnvironmentContent[];
}

export const NO_AUTOMATION: SavedAutomation = {
  on: false,
  onOpen: [],
  heartbeat: null,
  rules: [],
};

export const NEW_CONNECTION: ConnectionContent = {
  name: '',
  address: '',
  subprotocols: [],
  headers: [],
  messages: [],
  automation: NO_AUTOMATION,
};

/** Bounds of what is kept and read: far above what people save, far below what stops a page. */
export const MOST = {
  fileBytes: 64 * 2 ** 20,
  connections: 1_000,
  environments: 200,
  variables: 500,
  headers: 100,
  subprotocols: 50,
  messages: 1_000,
  onOpen: 100,
  rules: 50,
  nameCharacters: 200,
  addressCharacters: 8_000,
  valueCharacters: 100_000,
  messageCharacters: 2_000_000,
  /** Of a folder within folders. */
  depth: 30,
} as const;

export const HEARTBEAT_SECONDS = { least: 0.1, most: 86_400 } as const;

/** Tell whether there is anything that is sent by itself, if it is on. */
export function hasAutomation({ onOpen, heartbeat, rules }: SavedAutomation): boolean {
  return onOpen.length > 0 || heartbeat !== null || rules.length > 0;
}

/** What stands for a message where it has no name. */
export function titleOf({ name, text }: SavedMessage): string {
  if (name !== '') return name;
  const line = text.trim().split('\n', 1)[0] ?? '';
  return line.length <= 80 ? line : `${line.slice(0, 79)}…`;
}
