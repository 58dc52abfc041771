import type { ReactNode } from 'react';
import { Dialog, Heading, Modal, ModalOverlay } from 'react-aria-components';

import button from './button.module.css';
import styles from './modal-dialog.module.css';

interface ModalDialogProps {
  title: string;
  /** Small for a list, large for what has lines of its own. */
  size?: 'small' | 'large';
  onClose: () => void;
  children: ReactNode;
}

/** A dialog before the page; Escape, its button and a click beside it close it. */
export function ModalDialog({ title, size = 'large', onClose, children }: ModalDialogProps) {
  return (
    <ModalOverlay
      className={styles.overlay ?? ''}
      isOpen
      isDismissable
      onOpenChange={(isOpen) => {
        if (!isOpen) onClose();
      }}
    >
      <Modal className={styles[size] ?? ''}>
        <Dialog className={styles.dialog ?? ''}>
          <header className={styles.header}>
            <Heading slot="title" className={styles.title ?? ''}>
              {title}
            </Heading>
            <button type="button" className={button.quiet} onClick={onClose}>
              Close
            </button>
          </header>
          {children}
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}
