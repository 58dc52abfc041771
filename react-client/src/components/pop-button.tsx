import { type ReactNode, useRef, useState } from 'react';

import { lazyPart } from '../lib/lazy-part';
import { OpenedPart } from './opened-part';

// What opens comes when it is opened first: most visits never need it.
const PopPanel = lazyPart(() => import('./pop-panel'));

interface PopButtonProps {
  /** What the button shows. */
  caption: ReactNode;
  /** What names the button and its panel. */
  label: string;
  className?: string | undefined;
  /** The panel's contents; `close` closes it. */
  children: (close: () => void) => ReactNode;
}

/** A button with a panel of rare things behind it. */
export function PopButton({ caption, label, className, children }: PopButtonProps) {
  const trigger = useRef<HTMLButtonElement>(null);
  const [isOpen, setIsOpen] = useState(false);
  const close = () => {
    setIsOpen(false);
  };
  return (
    <>
      <button
        ref={trigger}
        type="button"
        className={className}
        aria-label={label}
        aria-haspopup="dialog"
        aria-expanded={isOpen}
        title={label}
        onClick={() => {
          setIsOpen((was) => !was);
        }}
      >
        {caption}
      </button>
      {isOpen && (
        <OpenedPart name={`“${label}”`} onClose={close}>
          <PopPanel trigger={trigger} label={label} onClose={close}>
            {children(close)}
          </PopPanel>
        </OpenedPart>
      )}
    </>
  );
}
