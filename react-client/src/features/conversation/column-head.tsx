import button from '../../components/button.module.css';
import styles from './column-cell.module.css';

interface ColumnHeadProps {
  caption: string;
  onRemove: () => void;
}

/** Says which value stands beside each message, and takes it away. */
export function ColumnHead({ caption, onRemove }: ColumnHeadProps) {
  return (
    <div className={styles.head} role="group" aria-label="Column">
      <span>Column</span>
      <code className={styles.path} title={caption}>
        {caption}
      </code>
      <button type="button" className={button.tool} onClick={onRemove}>
        Remove
      </button>
    </div>
  );
}
