import { useState } from 'react';

import button from '../../components/button.module.css';
import panel from '../../components/panel.module.css';
import { formatPlural } from '../../lib/figures';
import type { Outgoing } from '../../lib/send-plan';
import type { Payload } from './payload';

interface ResendProps {
  payload: Payload;
  /** Settles to why it was not sent, in one line, or to `null` when it was. */
  onResend: (data: Outgoing) => Promise<string | null>;
}

/** Sends the same once more, over the connection that is open now. */
export function Resend(props: ResendProps) {
  const { payload, onResend } = props;
  const [times, setTimes] = useState(0);
  const [problem, setProblem] = useState<string | null>(null);
  const resend = async () => {
    const whyNot = await onResend(payload.type === 'text' ? payload.text : payload.bytes);
    setProblem(whyNot);
    if (whyNot === null) setTimes((sent) => sent + 1);
  };
  const said = times === 0 ? '' : `Sent again, ${formatPlural(times, 'time', 'times')}.`;
  return (
    <p className={panel.row}>
      <button type="button" className={button.smallQuiet} onClick={() => void resend()}>
        Send it again
      </button>
      <span className={problem === null ? panel.note : panel.problem} role="status">
        {problem ?? said}
      </span>
    </p>
  );
}
