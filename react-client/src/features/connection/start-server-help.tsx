import { CopyButton } from '../../components/copy-button';
import type { ServerCommand } from './server-commands';
import styles from './start-server-help.module.css';

/** First-run help: the exact commands that start a server, ready to copy. */
export function StartServerHelp(props: { lead: string; commands: readonly ServerCommand[] }) {
  return (
    <div className={styles.help}>
      <p>{props.lead}</p>
      <ul className={styles.list}>
        {props.commands.map(({ command, where }) => (
          <li key={command} className={styles.item}>
            <span className={styles.where}>{where}</span>
            <code className={styles.command}>{command}</code>
            <CopyButton text={command} label={command} />
          </li>
        ))}
      </ul>
    </div>
  );
}
