import { render, screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';

import { readJson } from '../lib/values/read-json';
import type { ValueAction } from './chosen-value';
import { ValueTreeView } from './value-tree-view';

function showTree(text: string, onPath: ValueAction['run'] = () => undefined) {
  const read = readJson(text);
  if (!read.ok) throw new Error(read.problem.what);
  const actions = [{ name: 'Filter by it', run: onPath }];
  render(<ValueTreeView tree={read.tree} label="Tree" actions={actions} />);
  return screen.getByRole('tree', { name: 'Tree' });
}

/** The row that a screen reader is told to be active. */
function active(tree: HTMLElement): HTMLElement {
  const row = document.getElementById(tree.getAttribute('aria-activedescendant') ?? '');
  if (row === null) throw new Error('the active row is not in the document');
  expect(row).toHaveAttribute('aria-selected', 'true');
  return row;
}

const TEXT =
  '{"alpha": {"one": 1, "two": [true, null]}, "beta": "b", "alpine": 12345678901234567890}';

describe('a tree of values', () => {
  it('has its rows, each with its level and place', () => {
    const tree = showTree(TEXT);
    const rows = within(tree).getAllByRole('treeitem');
    expect(rows.map((row) => [row.ariaLevel, row.textContent])).toEqual([
      ['1', '▾{…} 3 names'],
      ['2', '▾"alpha": {…} 2 names'],
      ['3', '"one": 1'],
      ['3', '▾"two": […] 2 items'],
      ['4', '0: true'],
      ['4', '1: null'],
      ['2', '"beta": "b"'],
      ['2', '"alpine": 12345678901234567890as a double 12345678901234567000'],
    ]);
    expect(rows[6]).toHaveAttribute('aria-posinset', '2');
    expect(rows[6]).toHaveAttribute('aria-setsize', '3');
    expect(rows[6]).not.toHaveAttribute('aria-expanded');
  });

  it('goes by keyboard as trees do', async () => {
    const tree = showTree(TEXT);
    const user = userEvent.setup();
    await user.tab();
    await user.tab();
    await user.tab();
    expect(tree).toHaveFocus();
    const goes = async (keys: string, row: string) => {
      await user.keyboard(keys);
      expect(active(tree)).toHaveTextContent(row);
    };
    await goes('{ArrowRight}', '"alpha":');
    await goes('{ArrowLeft}', '▸"alpha": {…} 2 names');
    expect(active(tree)).toHaveAttribute('aria-expanded', 'false');
    await goes('{ArrowDown}', '"beta"');
    await goes('{ArrowUp}{ArrowRight}{ArrowRight}', '"one": 1');
    await goes('{ArrowLeft}', '"alpha"');
    await goes('{End}', '"alpine"');
    // However long a busy machine takes between two letters.
    const clock = vi.spyOn(performance, 'now').mockReturnValue(1_000_000);
    await goes('al', '"alpha"');
    await goes('p', '"alpha"');
    await goes('i', '"alpine"');
    clock.mockRestore();
    await goes('{Home}', '3 names');
    await goes('{Enter}', '▸{…}');
    expect(within(tree).getAllByRole('treeitem')).toHaveLength(1);
    await goes('*', '▾{…}');
  });

  it('shows the path of what is chosen, and hands it on', async () => {
    const onPath = vi.fn();
    const tree = showTree(TEXT, onPath);
    await userEvent.click(within(tree).getByText('null'));
    expect(screen.getByText('$.alpha.two[1]')).toBeVisible();
    await userEvent.click(screen.getByRole('button', { name: 'Filter by it' }));
    expect(onPath).toHaveBeenCalledWith('$.alpha.two[1]', 'null');
  });

  it('copies the path, and the value with all of its digits', async () => {
    const user = userEvent.setup();
    const tree = showTree(TEXT);
    await user.click(within(tree).getByText('"alpine"'));
    await user.click(screen.getByRole('button', { name: 'Copy the path' }));
    await expect(navigator.clipboard.readText()).resolves.toBe('$.alpine');
    await user.click(screen.getByRole('button', { name: 'Copy the value' }));
    await expect(navigator.clipboard.readText()).resolves.toBe('12345678901234567890');
  });

  it('says of two equal names that they are', () => {
    const tree = showTree('{"a": 1, "b": 2, "\\u0061": 3}');
    const rows = within(tree).getAllByRole('treeitem');
    expect(rows.map((row) => row.textContent).slice(1)).toEqual([
      '"a": 1same name, 1 of 2',
      '"b": 2',
      '"\\u0061": 3same name, 2 of 2',
    ]);
  });

  it('of a message of 20,000 brackets, or of a mebibyte, makes the rows in view alone', async () => {
    const tree = showTree('['.repeat(20_000) + ']'.repeat(20_000));
    await userEvent.click(screen.getByRole('button', { name: 'Unfold all' }));
    tree.focus();
    await userEvent.keyboard('{End}');
    expect(active(tree)).toHaveAttribute('aria-level', '20000');
    expect(within(tree).getAllByRole('treeitem').length).toBeLessThan(100);
  });

  it('shows a long list at once, whatever is in it', () => {
    const tree = showTree(`[${'[1],'.repeat(250_000)}"${'x'.repeat(100_000)}"]`);
    const rows = within(tree).getAllByRole('treeitem');
    expect(rows.length).toBeLessThan(100);
    expect(rows[0]).toHaveTextContent('▾[…] 250,001 items');
    expect(rows[1]).toHaveTextContent('▸0: […] 1 item[1]');
  });
});
