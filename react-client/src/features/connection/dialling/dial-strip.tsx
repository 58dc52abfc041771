import { useState } from 'react';

import button from '../../../components/button.module.css';
import { OpenedPart } from '../../../components/opened-part';
import { lazyPart } from '../../../lib/lazy-part';
import styles from './dial-strip.module.css';
import { summarise } from './dial-words';
import type { DialStep, ToldFrame } from './told';

const DialDialog = lazyPart(() => import('./dial-dialog'));

/** What the console has told of a connection that it dialled; it grows. */
export interface Dialled {
  readonly steps: readonly DialStep[];
  readonly frames: readonly ToldFrame[];
  readonly dropped: number;
  readonly offsetMs: number;
}

interface DialStripProps {
  dialled: Dialled;
  /** Whether the next connection will be dialled so, too. */
  isOn: boolean;
  onDirect: () => void;
}

/** That the console has dialled, in one line, with the way to all that it tells. */
export function DialStrip({ dialled, isOn, onDirect }: DialStripProps) {
  const [isOpen, setIsOpen] = useState(false);
  return (
    <div className={styles.strip} role="group" aria-label="Through the server">
      <p className={styles.summary} title={summarise(dialled.steps)}>
        {summarise(dialled.steps)}
      </p>
      <button
        type="button"
        className={button.tool}
        aria-haspopup="dialog"
        onClick={() => setIsOpen(true)}
      >
        Handshake and frames
      </button>
      {isOn && (
        <button
          type="button"
          className={button.tool}
          title="The next connection is the browser’s own again"
          onClick={onDirect}
        >
          Dial directly
        </button>
      )}
      {isOpen && (
        <OpenedPart name="What the server tells" onClose={() => setIsOpen(false)}>
          <DialDialog dialled={dialled} onClose={() => setIsOpen(false)} />
        </OpenedPart>
      )}
    </div>
  );
}
