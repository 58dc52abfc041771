import type { ReactNode, RefObject } from 'react';
import { Dialog, Popover } from 'react-aria-components';

import styles from './pop-panel.module.css';

interface PopPanelProps {
  trigger: RefObject<Element | null>;
  label: string;
  onClose: () => void;
  children: ReactNode;
}

/** A small panel beside the button that opened it; Escape and a click elsewhere close it. */
export default function PopPanel({ trigger, label, onClose, children }: PopPanelProps) {
  return (
    <Popover
      className={styles.panel ?? ''}
      triggerRef={trigger}
      isOpen
      placement="bottom end"
      offset={6}
      onOpenChange={(isOpen) => {
        if (!isOpen) onClose();
      }}
    >
      <Dialog className={styles.dialog ?? ''} aria-label={label}>
        {children}
      </Dialog>
    </Popover>
  );
}
