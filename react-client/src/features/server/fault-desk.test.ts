import { describe, expect, it } from 'vitest';

import {
  type DeskAction,
  deskAfter,
  type FaultDesk,
  isChanged,
  newDesk,
  problemsOf,
  rowsOf,
} from './fault-desk';
import { writeFaults } from './fault-list';

const COUNT = { name: 'n', kind: 'count', allowed: 'from 1 on', example: '3', low: 1, high: 9 };
const KNOWN = {
  kinds: [
    { name: 'silent', text: '', up: true, parameters: [] },
    { name: 'drop', text: '', up: true, parameters: [COUNT] },
  ],
  most: 3,
};

const after = (desk: FaultDesk, ...actions: DeskAction[]): FaultDesk =>
  actions.reduce((before, action) => deskAfter(before, action, KNOWN), desk);
const shown = (desk: FaultDesk) => writeFaults(rowsOf(desk, KNOWN) ?? []);
const add = (name: string): DeskAction => ({ type: 'add', name });
const told = (held: string): DeskAction => ({ type: 'told', held });
const applied = (held: string, isUndo = false): DeskAction => ({ type: 'applied', held, isUndo });

describe('the faults on the desk', () => {
  it('are those that hold, until one changes them', () => {
    const desk = after(newDesk('~silent'), told('~drop/1'));
    expect(shown(desk)).toBe('~drop/1');
    expect(isChanged(desk, KNOWN)).toBe(false);
    const edited = after(desk, add('silent'));
    expect(shown(edited)).toBe('~drop/1/~silent');
    expect(isChanged(edited, KNOWN)).toBe(true);
    expect(isChanged(after(edited, { type: 'remove', key: 2 }), KNOWN)).toBe(false);
    expect(shown(after(edited, { type: 'discard' }))).toBe('~drop/1');
  });

  it('stay as one has them while somebody else changes what holds', () => {
    const desk = after(newDesk(''), add('drop'), told('~silent'));
    expect(shown(desk)).toBe('~drop/3');
    expect(desk.held).toBe('~silent');
    expect(isChanged(after(desk, told('~drop/3')), KNOWN)).toBe(false);
  });

  it('are not taken back by a snapshot that was on its way when they were applied', () => {
    const desk = after(newDesk(''), add('silent'), applied('~silent'), told(''), told(''));
    expect(shown(desk)).toBe('~silent');
    // What is told for longer is so: it was changed elsewhere.
    expect(shown(after(desk, told('')))).toBe('');
    expect(shown(after(desk, told('~silent'), told('')))).toBe('');
  });

  it('go back step by step', () => {
    const desk = after(newDesk('~drop/1'), applied('~silent'), applied('~silent'), applied(''));
    expect(desk.past).toEqual(['~drop/1', '~silent']);
    const undone = after(desk, applied('~silent', true));
    expect(undone).toMatchObject({ held: '~silent', past: ['~drop/1'] });
    expect(after(undone, applied('~drop/1', true)).past).toEqual([]);
  });

  it('are no more than the server takes, and none that it does not know', () => {
    const desk = after(newDesk(''), ...Array.from({ length: 5 }, () => add('silent')));
    expect(shown(desk)).toBe('~silent/~silent/~silent');
    expect(shown(after(newDesk(''), add('nothing')))).toBe('');
    expect(rowsOf(newDesk('~nothing'), KNOWN)).toBeNull();
  });

  it('lose what was said against them once they are changed', () => {
    const refusal = { message: 'no', at: 0 };
    const desk = after(newDesk(''), add('drop'), { type: 'refused', refusal });
    expect(desk.refusal).toEqual(refusal);
    const changed = after(desk, { type: 'change', key: 1, to: { values: ['5'], way: 'up' } });
    expect(changed.refusal).toBeNull();
    expect(shown(changed)).toBe('~up-drop/5');
    const moved = after(changed, add('silent'), { type: 'move', key: 2, by: -1 });
    expect(shown(moved)).toBe('~silent/~up-drop/5');
  });

  it('say of each value what is wrong with it', () => {
    const [row] = rowsOf(newDesk('~drop/many'), KNOWN) ?? [];
    expect(row && problemsOf(row, KNOWN)).toEqual({ 0: 'From 1 on.' });
    const [good] = rowsOf(newDesk('~drop/9'), KNOWN) ?? [];
    expect(good && problemsOf(good, KNOWN)).toEqual({});
  });
});
