import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { useState } from 'react';
import { expect, it } from 'vitest';

import { panelProps, ViewTabs } from './view-tabs';

const TABS = [
  { key: 'a', caption: 'First' },
  { key: 'b', caption: 'Second' },
  { key: 'c', caption: 'Third' },
] as const;

function Views() {
  const [shown, setShown] = useState<'a' | 'b' | 'c'>('a');
  return (
    <>
      <ViewTabs label="Views" tabs={TABS} selected={shown} onSelect={setShown} />
      {TABS.map(({ key }) => (
        <div key={key} {...panelProps(key, key === shown)}>
          {key}
        </div>
      ))}
    </>
  );
}

it('is one stop of the keyboard, on which arrows, Home and End go from view to view', async () => {
  render(<Views />);
  await userEvent.tab();
  for (const [key, name] of [
    ['{ArrowRight}', 'Second'],
    ['{ArrowRight}', 'Third'],
    ['{ArrowRight}', 'First'],
    ['{ArrowLeft}', 'Third'],
    ['{Home}', 'First'],
    ['{End}', 'Third'],
  ] as const) {
    await userEvent.keyboard(key);
    const tab = screen.getByRole('tab', { name, selected: true });
    expect(tab).toHaveFocus();
    expect(screen.getByRole('tabpanel', { name })).toBeVisible();
    expect(screen.getAllByRole('tabpanel')).toHaveLength(1);
  }
  await userEvent.tab();
  expect(document.body).toHaveFocus();
});
