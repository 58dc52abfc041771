import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it } from 'vitest';

import { LONGEST_KEPT, MOST_SAVED, savedMessages } from './kept-drafts';
import { SavedPanel } from './saved-panel';

const show = (text: string) =>
  render(<SavedPanel draft={{ mode: 'text', text }} onTake={() => undefined} />);
const save = () => userEvent.click(screen.getByText('Save this message'));

describe('SavedPanel', () => {
  it('pushes nothing out that was saved before', async () => {
    for (let n = 1; n <= MOST_SAVED; n++)
      savedMessages.add({ mode: 'text', text: `m${String(n)}` });
    show('one too many');
    await save();
    expect(savedMessages.all()).toHaveLength(MOST_SAVED);
    expect(savedMessages.all().at(-1)).toMatchObject({ text: 'm1' });
    expect(screen.getByText('100 are saved already: delete one first.')).toBeVisible();
    await userEvent.click(screen.getByLabelText('Delete m7'));
    await save();
    expect(savedMessages.all()[0]).toMatchObject({ text: 'one too many' });
  });

  it('says that a message is too long to be saved', async () => {
    show('x'.repeat(LONGEST_KEPT + 1));
    expect(screen.getByText(/^This one is too long/)).toBeVisible();
    await save();
    expect(savedMessages.all()).toEqual([]);
  });
});
