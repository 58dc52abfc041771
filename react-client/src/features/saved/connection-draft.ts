import type { ConnectionContent, SavedAutomation, SavedMessage } from './model';
import { Notes } from './notes';
import { readConnection } from './read-content';

/** A saved connection as its form has it: figures and lists as they are typed. */
export interface ConnectionDraft extends Omit<ConnectionContent, 'subprotocols' | 'automation'> {
  readonly subprotocols: string;
  readonly automation: AutomationDraft;
}

export interface AutomationDraft extends Omit<SavedAutomation, 'heartbeat'> {
  readonly heartbeat: { readonly everySeconds: string; readonly message: SavedMessage } | null;
}

export type DraftReading =
  | { readonly ok: true; readonly content: ConnectionContent }
  /** `problem` is one line. */
  | { readonly ok: false; readonly problem: string };

export function draftOf(content: ConnectionContent): ConnectionDraft {
  const { heartbeat } = content.automation;
  return {
    ...content,
    subprotocols: content.subprotocols.join(', '),
    automation: {
      ...content.automation,
      heartbeat: heartbeat && { ...heartbeat, everySeconds: String(heartbeat.everySeconds) },
    },
  };
}

/** Reads the form. Rows in which nothing stands are left out; what is wrong is said, not dropped. */
export function readConnectionDraft(draft: ConnectionDraft): DraftReading {
  if (draft.address.trim() === '') return { ok: false, problem: 'The address is missing.' };
  const { automation } = draft;
  const said = ({ name, text }: SavedMessage) => name !== '' || text !== '';
  const notes = new Notes();
  const content = readConnection(
    {
      ...draft,
      subprotocols: draft.subprotocols.split(/[\s,]+/).filter((name) => name !== ''),
      headers: draft.headers.filter(({ name, value }) => name !== '' || value !== ''),
      messages: draft.messages.filter(said),
      automation: {
        ...automation,
        onOpen: automation.onOpen.filter(said),
        heartbeat: automation.heartbeat && {
          ...automation.heartbeat,
          everySeconds: Number(automation.heartbeat.everySeconds.trim().replace(',', '.') || NaN),
        },
      },
    },
    notes,
  );
  const [problem] = notes.all();
  if (content === null || problem !== undefined) {
    const { what, names } = problem ?? { what: 'what cannot be saved', names: [] };
    const which = names.length === 0 ? '' : `: ${names.join(', ')}`;
    return { ok: false, problem: `There are ${what}${which}.` };
  }
  return { ok: true, content };
}
