// One failure, told with its code: the code is what a person searches for or tells support.

interface Props {
  readonly code: string;
  readonly message: string;
  readonly id?: string;
}

/** First letter up and a full stop: the texts come from servers and validators alike. */
function sentence(message: string): string {
  const trimmed = message.trim();
  const upper = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(upper) ? upper : `${upper}.`;
}

export function FailureNote({ code, message, id }: Props) {
  return (
    <p className="failure" role="alert" id={id}>
      {sentence(message)} <code>{code}</code>
    </p>
  );
}
