import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { lazy, useState } from 'react';
import { expect, it } from 'vitest';

import { OpenedPart } from './opened-part';

/** Never comes. */
const Awaited = lazy(() => new Promise<never>(() => undefined));

function Page({ names }: { names: readonly string[] }) {
  const [open, setOpen] = useState(names);
  return (
    <>
      <p role="status">{open.join(', ')}</p>
      {open.map((name) => (
        <OpenedPart
          key={name}
          name={name}
          onClose={() => {
            setOpen(open.filter((one) => one !== name));
          }}
        >
          <Awaited />
        </OpenedPart>
      ))}
    </>
  );
}

it('closes by Escape while it is still on its way, the latest first', async () => {
  render(<Page names={['dialog', 'panel']} />);
  await userEvent.keyboard('{Escape}');
  expect(screen.getByRole('status')).toHaveTextContent(/^dialog$/);
  await userEvent.keyboard('{Escape}');
  expect(screen.getByRole('status')).toBeEmptyDOMElement();
});
